// Package listen is where connections come in: the listeners of the mail
// protocols, the client's address behind a trusted proxy (PROXY protocol), how
// many connections a listener takes in all and from one client, and the order
// of a shutdown.
//
// It never reads what a client says, and knows no protocol: what a client is
// told that is one too many is given to it.
package listen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	proxyproto "github.com/pires/go-proxyproto"

	"rookery"
)

// The waits of a listener: for the header of a trusted proxy, for a client to
// take its refusal, and before accepting is tried again.
const (
	proxyHeaderWait = 10 * time.Second
	refusalWait     = time.Second
	retryAfter      = 100 * time.Millisecond
)

// Options are what a Listener is made of. Name, Addr, Listen, Limits and Logger
// are required.
type Options struct {
	// Name is the listener's in logs and metrics, and its key below listen in
	// the node's file.
	Name string
	// Addr is host:port.
	Addr   string
	Listen func(ctx context.Context, network, addr string) (net.Listener, error)
	// TrustedProxies must send a PROXY header, which names the client. From
	// anyone else it reaches the protocol as a line it does not know.
	TrustedProxies []netip.Prefix
	// Limits are asked at each connection, so that a change is in force at once.
	Limits func() Limits
	// Refusal is said to a client above the limits; "" closes without a word.
	Refusal string
	Logger  *slog.Logger
}

// Limits bound the connections of one listener that are open at once.
type Limits struct {
	Connections int // in all
	PerClient   int // of one client: an IPv4 address or an IPv6 /64
}

// Stats counts connections since the start, and those open now.
type Stats struct {
	Admitted, Refused uint64
	Open              int
}

// Listener is a net.Listener of the connections that are admitted: above the
// limits the new one is refused, never an old one ended.
type Listener struct {
	net.Listener
	o      Options
	conns  chan net.Conn
	done   chan struct{}
	closed sync.Once
	wg     sync.WaitGroup

	mu       sync.Mutex
	stats    Stats
	byClient map[netip.Prefix]int
	failed   error
}

// Open listens. KindUnavailable: the address is taken or not this machine's.
func Open(ctx context.Context, o Options) (*Listener, error) {
	ln, err := o.Listen(ctx, "tcp", o.Addr)
	if err != nil {
		return nil, rookery.E("listen", rookery.KindUnavailable,
			fmt.Errorf("%s on %s: %w; free the port or change listen.%s", o.Name, o.Addr, err, o.Name))
	}
	l := &Listener{Listener: ln, o: o, conns: make(chan net.Conn), done: make(chan struct{}), byClient: map[netip.Prefix]int{}}
	l.wg.Go(l.run)
	return l, nil
}

// Name is Options.Name.
func (l *Listener) Name() string { return l.o.Name }

// Stats are the listener's counts.
func (l *Listener) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

func (l *Listener) run() {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() || isTooManyFiles(err) {
				l.o.Logger.Warn("accept failed; trying again", "listener", l.o.Name, "error", err)
				select {
				case <-time.After(retryAfter):
					continue
				case <-l.done:
				}
			}
			l.mu.Lock()
			l.failed = err
			l.mu.Unlock()
			l.stop()
			return
		}
		if !l.isTrusted(c.RemoteAddr()) {
			l.admit(c)
			continue
		}
		l.wg.Go(func() { l.unwrap(c) })
	}
}

func isTooManyFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

func (l *Listener) isTrusted(a net.Addr) bool {
	ip := Addr(a)
	for _, p := range l.o.TrustedProxies {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// unwrap takes the PROXY header off a connection.
func (l *Listener) unwrap(c net.Conn) {
	c.SetReadDeadline(time.Now().Add(proxyHeaderWait))
	pc := proxyproto.NewConn(c, proxyproto.WithPolicy(proxyproto.REQUIRE))
	if pc.ProxyHeader() == nil { // reads it
		l.o.Logger.Warn("no PROXY header from a trusted proxy", "listener", l.o.Name, "proxy", c.RemoteAddr())
		c.Close()
		return
	}
	c.SetReadDeadline(time.Time{})
	l.admit(pc)
}

func (l *Listener) admit(c net.Conn) {
	client := Client(c.RemoteAddr())
	if !l.enter(client) {
		l.o.Logger.Warn("too many connections; the new one is closed", "listener", l.o.Name, "client", client)
		if l.o.Refusal != "" {
			c.SetWriteDeadline(time.Now().Add(refusalWait))
			io.WriteString(c, l.o.Refusal)
		}
		c.Close()
		return
	}
	select {
	case l.conns <- &admitted{Conn: c, listener: l, client: client}:
	case <-l.done:
		l.leave(client)
		c.Close()
	}
}

func (l *Listener) enter(client netip.Prefix) bool {
	limits := l.o.Limits()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stats.Open >= limits.Connections || l.byClient[client] >= limits.PerClient {
		l.stats.Refused++
		return false
	}
	l.stats.Admitted++
	l.stats.Open++
	l.byClient[client]++
	return true
}

func (l *Listener) leave(client netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Open--
	if l.byClient[client]--; l.byClient[client] <= 0 {
		delete(l.byClient, client)
	}
}

// Accept gives the next admitted connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.failed != nil {
			return nil, l.failed
		}
		return nil, net.ErrClosed
	}
}

func (l *Listener) stop() { l.closed.Do(func() { close(l.done) }) }

// Close stops accepting; connections stay.
func (l *Listener) Close() error {
	l.stop()
	return l.Listener.Close()
}

// Wait returns when nothing of the listener runs any more after Close.
func (l *Listener) Wait() { l.wg.Wait() }

// admitted is a connection that counts until it is closed.
type admitted struct {
	net.Conn
	listener *Listener
	client   netip.Prefix
	once     sync.Once
}

// Close implements net.Conn.
func (c *admitted) Close() error {
	c.once.Do(func() { c.listener.leave(c.client) })
	return c.Conn.Close()
}

// CloseWrite ends what is sent and leaves what is received open.
func (c *admitted) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Addr is an address without its port; the zero Addr where it is none of IP.
func Addr(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap()
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

// Client is what counts as one client: an IPv4 address, or the /64 of an IPv6
// address, which one customer has for himself.
func Client(a net.Addr) netip.Prefix { return Network(Addr(a)) }

// Network is Client for an address without a port.
func Network(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	p, _ := ip.Prefix(bits) // fails for the zero Addr, which is one client
	return p
}

// Host is an address without its port, as text.
func Host(a net.Addr) string {
	if host, _, err := net.SplitHostPort(a.String()); err == nil {
		return host
	}
	return a.String()
}
