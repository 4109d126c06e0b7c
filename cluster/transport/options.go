package transport

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"rookery"
	"rookery/cluster/transport/identity"
)

// The protocols of the port, chosen by ALPN (RFC 7301).
const (
	protoJoin   = "rookery-join/1"
	protoRaft   = "rookery-raft/1"
	protoRPC    = "rookery-rpc/1"
	protoStream = "rookery-stream/1"
	protoGossip = "rookery-gossip/1"
)

// Options of a Transport.
type Options struct {
	Credentials *identity.Credentials
	// Member gives the KeyHash that the registry of nodes has for a member; ok
	// is false for a node that is none. It is asked in every handshake, both
	// ways, except to join, and must not block: a node that shows another key is
	// refused, whoever signed its certificate. nil refuses everybody.
	Member func(rookery.NodeID) (key [32]byte, ok bool)
	// OnUnknown hears that a node was refused which the authority has certified
	// and Member does not know: the registry here may be behind. It must not
	// block.
	OnUnknown func(rookery.NodeID)
	// Generation is the cluster's, empty until its first recovery from a lost
	// majority. Nodes of different generations exchange nothing: it is part of
	// every protocol's name.
	Generation string
	// Removed is whether a node was removed for ever from this generation; it
	// is told so. nil: nobody was.
	Removed func(rookery.NodeID) bool
	// OnRemoved hears that another member says this node was removed. It must
	// not block.
	OnRemoved func(by rookery.NodeID)
	// OnReturned hears that a removed node was told so. It must not block.
	OnReturned func(rookery.NodeID)
	// Addresses gives the host:port at which a node is reached now.
	Addresses func(rookery.NodeID) (hostport string, ok bool)
	// Join answers joiners; nil: nobody can join through this node.
	Join JoinHandler
	// Invited reports whether a token is good as far as this node knows. No
	// failures of others keep out who brings one. nil: no token is known.
	Invited func(identity.Token) bool
	Logger  *slog.Logger // default slog.Default()
	// Clock says what time certificates are checked against. Default time.Now.
	Clock func() time.Time
	// Dial opens a plain connection. Default: TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// DialTimeout bounds dialing with handshake. Default 3 s.
	DialTimeout time.Duration
	// HandshakeTimeout bounds what a connection that arrives takes until it
	// is known what it is for. Default 5 s.
	HandshakeTimeout time.Duration
	// MaxTunnels and MaxStreams bound those that arrive. Defaults 16384 and 64.
	MaxTunnels, MaxStreams int
}

// Fixed limits.
const (
	// DefaultBody is the largest body of a call, both ways, unless its
	// handler says otherwise, and MaxBody what it may say at most.
	DefaultBody = 2 << 20
	MaxBody     = 32 << 20
	// MaxHeader is the largest header of a stream or tunnel.
	MaxHeader = 64 << 10

	maxHandshakes     = 512 // under way at once
	maxHandshakesHost = 128 // of them from one address
	maxCalls          = 1024
	maxCallBytes      = 64 << 20 // of requests on one connection
	maxName           = 100
	pingEvery         = 3 * time.Second
	deadAfter         = 10 * time.Second
	writeTimeout      = 10 * time.Second
	idleChunk         = 10 * time.Second // between signs of life in a stream
)

func (o *Options) complete() error {
	switch {
	case o.Credentials == nil:
		return errors.New("the node has no credentials")
	case o.Addresses == nil:
		return errors.New("no addresses of other nodes are given")
	}
	if o.Member == nil {
		o.Member = func(rookery.NodeID) ([32]byte, bool) { return [32]byte{}, false }
	}
	if o.OnUnknown == nil {
		o.OnUnknown = func(rookery.NodeID) {}
	}
	if o.Removed == nil {
		o.Removed = func(rookery.NodeID) bool { return false }
	}
	if o.OnReturned == nil {
		o.OnReturned = func(rookery.NodeID) {}
	}
	if o.OnRemoved == nil {
		o.OnRemoved = func(rookery.NodeID) {}
	}
	set(&o.Logger, slog.Default())
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Dial == nil {
		o.Dial = dialTCP
	}
	set(&o.DialTimeout, 3*time.Second)
	set(&o.HandshakeTimeout, 5*time.Second)
	set(&o.MaxTunnels, 16384)
	set(&o.MaxStreams, 64)
	return nil
}

func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", address)
}

// set gives an option its default.
func set[T comparable](option *T, value T) {
	var zero T
	if *option == zero {
		*option = value
	}
}
