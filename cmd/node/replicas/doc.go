// Package replicas is this node's part of the Raft groups: the log and the
// state on its disk, the replicas that run on them, and the way of commands and
// questions to a group, wherever its replicas are.
//
// Replicas is what services propose through: a command goes to the leader by
// the replica here, or where there is none by a node that has one, under an id
// that makes it safe to send it again. A Question is answered here if it can
// be, else by a node that can. The package owns starting, stopping, mending and
// erasing replicas; it never decides which groups run where, which is the
// placement's, and it knows nothing of what a command means but from which
// version on every node reads it.
package replicas
