// Package transporttest is a network in memory for whole clusters in one
// process: listeners and connections without sockets, links that go silent in
// one direction or both. It runs in testing/synctest bubbles. It owns no TLS:
// the real transport runs over it.
package transporttest

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Network joins addresses.
type Network struct {
	mu        sync.Mutex
	listeners map[netip.AddrPort]*listener
	lost      map[link]bool
}

// link is one direction between two addresses; the zero address is any, and
// port 0 is every port of its host.
type link struct{ from, to netip.AddrPort }

// NewNetwork makes one in which everybody reaches everybody.
func NewNetwork() *Network {
	return &Network{listeners: map[netip.AddrPort]*listener{}, lost: map[link]bool{}}
}

// Cut silences an address (port 0: its whole host), or lets it speak again: nothing reaches it or
// comes from it, and nobody is told.
func (n *Network) Cut(address string, cut bool) {
	a := netip.MustParseAddrPort(address)
	n.set(cut, link{from: a}, link{to: a})
}

// Lose silences one direction between two addresses, or mends it.
func (n *Network) Lose(from, to string, lose bool) {
	n.set(lose, link{netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)})
}

func (n *Network) set(lost bool, links ...link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range links {
		n.lost[l] = lost
	}
}

func (n *Network) silent(from, to netip.AddrPort) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for l, lost := range n.lost {
		if lost && covers(l.from, from) && covers(l.to, to) {
			return true
		}
	}
	return false
}

func covers(pattern, a netip.AddrPort) bool {
	return pattern == netip.AddrPort{} || pattern == a || pattern.Port() == 0 && pattern.Addr() == a.Addr()
}

// Listen listens at an address. It panics where somebody does.
func (n *Network) Listen(address string) net.Listener {
	a := netip.MustParseAddrPort(address)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[a] != nil {
		panic("transporttest: " + address + " is taken")
	}
	l := &listener{net: n, address: a, conns: make(chan net.Conn, 64), closed: make(chan struct{})}
	n.listeners[a] = l
	return l
}

// Dialer dials for the node at an address: a transport's Options.Dial.
func (n *Network) Dialer(from string) func(ctx context.Context, address string) (net.Conn, error) {
	a := netip.MustParseAddrPort(from)
	return func(ctx context.Context, address string) (net.Conn, error) { return n.dial(ctx, a, address) }
}

func (n *Network) dial(ctx context.Context, from netip.AddrPort, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	if n.silent(from, to) || n.silent(to, from) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	n.mu.Lock()
	l := n.listeners[to]
	n.mu.Unlock()
	if l == nil {
		return nil, errors.New("connection refused")
	}
	here, there := net.Pipe()
	select {
	case l.conns <- &conn{Conn: there, net: n, from: to, to: from}:
		return &conn{Conn: here, net: n, from: from, to: to}, nil
	case <-l.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

type listener struct {
	net     *Network
	address netip.AddrPort
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		l.net.mu.Lock()
		delete(l.net.listeners, l.address)
		l.net.mu.Unlock()
		close(l.closed)
		for {
			select {
			case c := <-l.conns:
				c.Close()
			default:
				return
			}
		}
	})
	return nil
}

func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.address) }

// conn loses what is written while its direction is silent. A lost byte
// spoils the stream, as it would TCP's if it were not sent again, so the
// connection stays silent: it ends by somebody's deadline.
type conn struct {
	net.Conn
	net      *Network
	from, to netip.AddrPort
	mu       sync.Mutex
	spoilt   bool
}

func (c *conn) Write(b []byte) (int, error) {
	if c.loses() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c *conn) loses() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spoilt = c.spoilt || c.net.silent(c.from, c.to)
	return c.spoilt
}

// Close is not heard at the other end of a silent link.
func (c *conn) Close() error {
	if c.loses() {
		c.Conn.SetDeadline(time.Unix(1, 0)) // wakes this end's readers and writers
		return nil
	}
	return c.Conn.Close()
}

func (c *conn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.from) }
func (c *conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.to) }
