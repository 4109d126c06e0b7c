// Package node assembles one running node from a Config, and is the only
// package that knows all others: it takes the data directory (datadir), opens
// the way to the other nodes (peers), the groups (replicas) and the object store
// (objects), introduces them to each other and to the protocols, and closes them
// in order. The command line and the tests call the same Open.
//
// It owns the cluster settings in force, listeners, certificates for mail
// clients and the administration socket. It never speaks a mail protocol and
// holds no mail rule.
package node
