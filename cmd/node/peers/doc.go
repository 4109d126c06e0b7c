// Package peers is a node's view of the other nodes: who they are and where,
// the connections to them, whether they live, what they report, and whether
// this node's data directory is an older copy that they have already heard of.
//
// Every call that nodes make of each other stands in calls.go, with the types
// of its question and its answer; what answers a call is served from wherever
// the answer is. The package owns the certificate in use and the gossip ring,
// and keeps both going. It never decides who is a member: the registry does,
// and whoever reads it calls Learn. That a node lives is a hint for whoever
// asks; no promise rests on it.
package peers
