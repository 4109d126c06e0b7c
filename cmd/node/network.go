package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"rookery"
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
		return listenUnix(ctx, address)
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

func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	// The socket that a killed process left would refuse the bind; the lock on
	// the data directory says that no other process serves it.
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() != fs.ModeSocket {
		return nil, rookery.E("replace socket", rookery.KindExists, fmt.Errorf("%s is no socket; name another path with admin in the node file", path))
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("%w; the path must be at most about 100 bytes: set admin in the node file to a shorter one", err)
	}
	if err := shareSocket(path, adminGroup); err != nil {
		ln.Close()
		return nil, rookery.E("open administration socket", rookery.KindDenied, err)
	}
	return ln, nil
}

// dialTCP is how the parts that only know addresses connect.
func dialTCP(n Network) func(ctx context.Context, address string) (net.Conn, error) {
	return func(ctx context.Context, address string) (net.Conn, error) { return n.Dial(ctx, "tcp", address) }
}
