// Package transport carries everything one node says to another: Raft,
// calls, bulk streams, tunnels of client sessions and the streams of gossip,
// all over one TCP port, TLS 1.3 with certificates of the cluster's own
// authority on both sides. The protocol is chosen by ALPN, one protocol a
// connection.
//
// It owns who may connect (registered members with their registered keys
// only), kept connections, and what a failed call means: KindUnavailable that
// it cannot have reached its handler, KindUnknown that it may have. It never
// retries a call, keeps no membership (it asks), knows no Raft message and no
// mail, and stores nothing. Certificates and join tokens are
// transport/identity's.
package transport
