// Package gossiptest is a network in memory for tests of gossip and of whole
// clusters: packets are dropped where nobody reads, streams are pipes, and
// nodes can be cut off. It runs in testing/synctest bubbles. It never blocks a
// sender and opens no socket.
package gossiptest

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"rookery"
)

// Network joins its ports.
type Network struct {
	mu    sync.Mutex
	ports map[netip.AddrPort]*Port
	cut   map[netip.AddrPort]bool
}

// NewNetwork makes one without ports.
func NewNetwork() *Network {
	return &Network{ports: map[netip.AddrPort]*Port{}, cut: map[netip.AddrPort]bool{}}
}

// Cut cuts an address off from all others, or joins it again. Streams that
// stand are not touched.
func (n *Network) Cut(address string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[netip.MustParseAddrPort(address)] = cut
}

// route finds the port at an address that from can reach.
func (n *Network) route(from, to netip.AddrPort) *Port {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut[from] || n.cut[to] {
		return nil
	}
	return n.ports[to]
}

// Port is one node's end: a net.PacketConn, and by Streams its streams.
type Port struct {
	net     *Network
	address netip.AddrPort
	packets chan packet
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

type packet struct {
	data []byte
	from netip.AddrPort
}

// Open opens the port at an address, in place of a closed one.
func (n *Network) Open(address string) *Port {
	p := &Port{net: n, address: netip.MustParseAddrPort(address), packets: make(chan packet, 256), conns: make(chan net.Conn, 16),
		closed: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ports[p.address] = p
	return p
}

// ReadFrom waits for a packet.
func (p *Port) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case k := <-p.packets:
		return copy(b, k.data), net.UDPAddrFromAddrPort(k.from), nil
	case <-p.closed:
		return 0, nil, net.ErrClosed
	}
}

// WriteTo sends a packet, which is lost where nobody has room for it.
func (p *Port) WriteTo(b []byte, to net.Addr) (int, error) {
	address, err := netip.ParseAddrPort(to.String())
	if err != nil {
		return 0, err
	}
	if other := p.net.route(p.address, address); other != nil {
		select {
		case other.packets <- packet{append([]byte(nil), b...), p.address}:
		default:
		}
	}
	return len(b), nil
}

// Close closes packets and streams.
func (p *Port) Close() error {
	p.once.Do(func() {
		close(p.closed)
		p.net.mu.Lock()
		defer p.net.mu.Unlock()
		if p.net.ports[p.address] == p {
			delete(p.net.ports, p.address)
		}
	})
	return nil
}

// LocalAddr is the port's address.
func (p *Port) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(p.address) }

// SetDeadline, SetReadDeadline and SetWriteDeadline are not supported.
func (p *Port) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (p *Port) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (p *Port) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

// Streams are the port's streams. They implement gossip.Streams.
func (p *Port) Streams() *Streams { return &Streams{p} }

// Streams are connections over a Port.
type Streams struct{ port *Port }

// Dial connects to an address, whichever node is there.
func (s *Streams) Dial(ctx context.Context, address string, _ rookery.NodeID) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	other := s.port.net.route(s.port.address, to)
	if other == nil { // as if packets were lost
		<-ctx.Done()
		return nil, ctx.Err()
	}
	here, there := net.Pipe()
	select {
	case other.conns <- there:
		return here, nil
	default:
		here.Close()
		return nil, errors.New("nobody accepts the stream")
	}
}

// Accept waits for a stream.
func (s *Streams) Accept() (net.Conn, error) {
	select {
	case c := <-s.port.conns:
		return c, nil
	case <-s.port.closed:
		return nil, net.ErrClosed
	}
}

// Close closes the port.
func (s *Streams) Close() error { return s.port.Close() }
