// Package node assembles one running node from a Config, and is the only
// package that knows all others. From the disk upwards it takes the data
// directory (datadir), opens the way to the other nodes (peers) and the groups
// (replicas), makes the services that stand on them (keyring, members, objects,
// moves, signing, inforce, directories), and on those the edges: protocols (edge, clients),
// health and status (monitor), and the socket for operators (admin, records). It
// introduces them to each other and closes them in order. The command line and
// the tests call the same Open.
//
// It owns the order of a start and of an end, what waits for room on the disk,
// and why a node cannot go on. It never speaks a mail protocol, holds no mail
// rule, and does no work of its own.
package node
