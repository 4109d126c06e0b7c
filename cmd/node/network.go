package node

import (
	"context"
	"net"
	"time"

	"rookery/cmd/node/admin"
)

// Network carries every connection of a node: between nodes, of mail clients,
// to directories, and of the administration socket. Tests put one in memory in
// its place.
type Network interface {
	// Listen listens for mail clients and other nodes ("tcp"), or for
	// operators ("unix", address is a path that its owner and the members of the
	// group rookery may open).
	Listen(ctx context.Context, network, address string) (net.Listener, error)
	// Dial connects to another node or a directory.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}

// systemNetwork is the operating system's.
type systemNetwork struct{}

// Listen implements Network.
func (systemNetwork) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	if network == "unix" {
		return admin.Listen(ctx, address)
	}
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		// An idle IMAP client that vanished is noticed after about four minutes.
		Enable: true, Idle: 2 * time.Minute, Interval: 30 * time.Second, Count: 4,
	}}
	return lc.Listen(ctx, network, address)
}

// Dial implements Network.
func (systemNetwork) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{KeepAlive: 30 * time.Second}
	return d.DialContext(ctx, network, address)
}

// ListenPacket is for gossip, whose packets are UDP: over a Network without it
// nodes notice each other's failures by calls alone.
func (systemNetwork) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	return (&net.ListenConfig{}).ListenPacket(ctx, network, address)
}

// dialTCP is how the parts that only know addresses connect.
func dialTCP(n Network) func(ctx context.Context, address string) (net.Conn, error) {
	return func(ctx context.Context, address string) (net.Conn, error) { return n.Dial(ctx, "tcp", address) }
}
