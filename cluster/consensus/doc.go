// Package consensus runs the node's Raft groups and drives a Machine for
// each: it commits bytes on a quorum, applies them in order, answers when a
// linearizable read may happen, and moves images to replicas that fell
// behind.
//
// It owns everything that must be right about hashicorp/raft: its settings,
// the snapshot store that is the live state itself, the read barrier, and
// the meaning of its errors. It never looks into a command, knows no mail,
// stores nothing of its own (the log is given to it), and does not forward
// to the leader: that is for whoever owns the connections between nodes.
package consensus
