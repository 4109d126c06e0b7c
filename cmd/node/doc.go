// Package node assembles one running node from a Config, and is the only
// package that knows all others: it opens the log, the groups, the state and
// the object store, introduces them to each other and to the protocols, and
// closes them in order. The command line and the tests call the same Open.
//
// It owns the node file, the cluster settings, listeners, certificates and the
// administration socket. It never speaks a mail protocol and holds no mail
// rule.
package node
