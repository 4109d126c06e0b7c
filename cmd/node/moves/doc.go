// Package moves carries accounts from one group to another.
//
// It owns which of the moves under way this node works on, how many at once, and
// what late commands of moves that have ended left in the groups led here. How
// an account is copied, frozen and switched is storage/accountmove's; whether one
// is moved is an operator's to decide.
package moves
