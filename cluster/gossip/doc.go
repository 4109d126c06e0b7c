// Package gossip finds the nodes of the cluster and suspects their failures:
// where each is reached, whether it answers, how loaded it is.
//
// It owns memberlist and its settings: encrypted packets, the cluster's id as
// label so that two clusters cannot merge, streams inside the mTLS port.
// What it says is a hint and may be wrong or late on every node in another
// way. It never decides who is a member (Raft's configuration does), never
// carries a secret, and stores nothing.
package gossip
