package transport

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"rookery"
)

// conn is one connection after its handshake, or before it while peer is
// empty.
type conn struct {
	*tls.Conn
	raw      net.Conn
	owner    *connections
	incoming bool

	// These are set before the connection is known to anybody else.
	peer  rookery.NodeID
	proto string
	certs []*x509.Certificate
	usage x509.ExtKeyUsage // what the peer's certificate is used for

	onClose func() // of whoever took it over; guarded by owner.mu
	once    sync.Once
	ending  atomic.Int32 // how far its end has come: one of the states below
}

// The states of a connection's end.
const (
	writable int32 = iota
	halfClosing
	halfClosed
	closed
)

// CloseWrite says that nothing more will be written (RFC 8446 6.1). It writes
// for at most five seconds (crypto/tls); whoever closes meanwhile need not wait.
func (c *conn) CloseWrite() error {
	if !c.ending.CompareAndSwap(writable, halfClosing) {
		return net.ErrClosed
	}
	err := c.Conn.CloseWrite()
	c.ending.CompareAndSwap(halfClosing, halfClosed)
	return err
}

// Close says goodbye and closes. While CloseWrite writes to a peer that does
// not read, the goodbye would wait for it: then it closes at once.
func (c *conn) Close() error {
	c.forget()
	if c.ending.Swap(closed) == halfClosing {
		return c.raw.Close()
	}
	return c.Conn.Close()
}

// cut closes at once, whatever is being written.
func (c *conn) cut() {
	c.forget()
	c.raw.Close()
}

func (c *conn) forget() {
	c.once.Do(func() {
		if f := c.owner.remove(c); f != nil {
			f()
		}
	})
}

// connections are all that are open.
type connections struct {
	mu     sync.Mutex
	open   map[*conn]struct{}
	closed bool
}

func (s *connections) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.open == nil {
		s.open = map[*conn]struct{}{}
	}
	s.open[c] = struct{}{}
	return true
}

func (s *connections) remove(c *conn) (onClose func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
	return c.onClose
}

// watch has f called when c closes; false when it has closed already.
func (s *connections) watch(c *conn, f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, open := s.open[c]; !open {
		return false
	}
	c.onClose = f
	return true
}

// know records who is at the other end.
func (s *connections) know(c *conn, peer rookery.NodeID, certs []*x509.Certificate, usage x509.ExtKeyUsage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.peer, c.certs, c.usage = peer, certs, usage
}

// cut closes those that match.
func (s *connections) cut(match func(*conn) bool) {
	s.mu.Lock()
	var chosen []*conn
	for c := range s.open {
		if match(c) {
			chosen = append(chosen, c)
		}
	}
	s.mu.Unlock()
	for _, c := range chosen {
		c.cut()
	}
}

func (s *connections) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cut(func(*conn) bool { return true })
}

// doors bounds the handshakes under way, in all and by address, so that
// nobody can keep others out by beginning many and finishing none.
type doors struct {
	mu     sync.Mutex
	all    int
	byHost map[netip.Addr]int
}

func (d *doors) enter(host netip.Addr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all >= maxHandshakes || d.byHost[host] >= maxHandshakesHost {
		return false
	}
	if d.byHost == nil {
		d.byHost = map[netip.Addr]int{}
	}
	d.all++
	d.byHost[host]++
	return true
}

func (d *doors) leave(host netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all--
	if d.byHost[host]--; d.byHost[host] == 0 {
		delete(d.byHost, host)
	}
}

// hostOf is the address a connection comes from, IPv6 by its /64 network. It
// is the zero Addr for anything that is not IP.
func hostOf(a net.Addr) netip.Addr {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	host := ap.Addr().Unmap().WithZone("")
	if host.Is6() {
		p, _ := host.Prefix(64)
		host = p.Addr()
	}
	return host
}

// sparse lets one message a second through: who scans the port must not
// fill the log.
type sparse struct {
	mu      sync.Mutex
	last    time.Time
	skipped int
}

func (s *sparse) tell(now time.Time) (skipped int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.last) < time.Second {
		s.skipped++
		return 0, false
	}
	skipped, s.skipped, s.last = s.skipped, 0, now
	return skipped, true
}
