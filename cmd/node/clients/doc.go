// Package clients knows who has signed in: the sessions on this node, and on all
// nodes for an operator who lists or ends them; and which sessions have to end
// because the directory has disabled their owner or has them no more.
//
// It never lets anybody in, never speaks a protocol, and ends nobody's session
// because a directory does not answer.
package clients
