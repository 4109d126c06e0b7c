// Package datadir is a node's data directory while nobody serves from it: it is
// made for the first node of a cluster, for one that joins or from a recovery
// kit, taken by one process at a time, read offline, and recovered after the
// cluster lost a majority.
//
// It owns the small files in it: who the node is (node.json), its certificate
// and the cluster CA, the key files, where the other nodes were last known to
// be, how far the directory has come, and a recovery that was begun. It also
// answers whether the disk takes what a start writes. It never opens a
// listener, serves a call or runs Raft, and it does not know how the log and
// the state are laid out: it opens those of a stopped node and closes them
// again.
package datadir
