// Package edge is where a node's clients come in: the protocol servers made of
// the settings, the listeners they serve on, their certificate, and the handing
// over of sessions to a node that has the account.
//
// It owns the order in which listeners open and drain, which node a session goes
// to, the end of sessions whose groups have left, and the note of each account's
// last sign-in. It speaks no protocol itself and holds no mail rule.
package edge
