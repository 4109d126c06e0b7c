package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	proxyproto "github.com/pires/go-proxyproto"

	"rookery"
)

// proxyHeaderWait bounds how long a trusted proxy may take to send its header.
const proxyHeaderWait = 10 * time.Second

// gate is a listener that bounds connections in all and by address, and that
// takes the client's address from the PROXY header of trusted proxies. A
// trusted proxy must send the header; from anyone else it reaches the protocol
// as a line it does not know.
type gate struct {
	net.Listener
	name       string
	trusted    []netip.Prefix
	logger     *slog.Logger
	max, perIP func() int // read at each connection: settings change

	conns  chan net.Conn
	done   chan struct{}
	closed sync.Once
	wg     sync.WaitGroup

	mu     sync.Mutex
	total  int
	byAddr map[netip.Addr]int
	// admitted and refused count since the start.
	admitted, refused uint64
	failed            error
}

func listen(ctx context.Context, network Network, name, addr string, trusted []netip.Prefix, max, perIP func() int, logger *slog.Logger) (*gate, error) {
	ln, err := network.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, rookery.E("listen", rookery.KindUnavailable,
			fmt.Errorf("%s on %s: %w; free the port or change listen.%s", name, addr, err, name))
	}
	g := &gate{
		Listener: ln, name: name, trusted: trusted, logger: logger, max: max, perIP: perIP,
		conns: make(chan net.Conn), done: make(chan struct{}), byAddr: map[netip.Addr]int{},
	}
	g.wg.Add(1)
	go g.run()
	return g, nil
}

func (g *gate) run() {
	defer g.wg.Done()
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() || isTooManyFiles(err) {
				g.logger.Warn("accept failed; trying again", "listener", g.name, "error", err)
				select {
				case <-time.After(100 * time.Millisecond):
					continue
				case <-g.done:
				}
			}
			g.mu.Lock()
			g.failed = err
			g.mu.Unlock()
			g.close()
			return
		}
		if !g.isTrusted(c.RemoteAddr()) {
			g.admit(c)
			continue
		}
		g.wg.Add(1)
		go func() {
			defer g.wg.Done()
			g.unwrap(c)
		}()
	}
}

func (g *gate) isTrusted(a net.Addr) bool {
	ip := addrOf(a)
	for _, p := range g.trusted {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

func (g *gate) unwrap(c net.Conn) {
	c.SetReadDeadline(time.Now().Add(proxyHeaderWait))
	pc := proxyproto.NewConn(c, proxyproto.WithPolicy(proxyproto.REQUIRE))
	if pc.ProxyHeader() == nil { // reads it
		g.logger.Warn("no PROXY header from a trusted proxy", "listener", g.name, "proxy", c.RemoteAddr())
		c.Close()
		return
	}
	c.SetReadDeadline(time.Time{})
	g.admit(pc)
}

// admit hands the connection to the server, or closes it when there are too
// many: new connections are refused, never old ones ended.
func (g *gate) admit(c net.Conn) {
	ip := addrOf(c.RemoteAddr())
	g.mu.Lock()
	full := g.total >= g.max() || g.byAddr[ip] >= g.perIP()
	if full {
		g.refused++
	} else {
		g.admitted++
		g.total++
		g.byAddr[ip]++
	}
	g.mu.Unlock()
	if full {
		g.logger.Warn("too many connections; the new one is closed", "listener", g.name, "address", ip)
		c.Close()
		return
	}
	select {
	case g.conns <- &gated{Conn: c, gate: g, ip: ip}:
	case <-g.done:
		g.leave(ip)
		c.Close()
	}
}

func (g *gate) leave(ip netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	if g.byAddr[ip]--; g.byAddr[ip] <= 0 {
		delete(g.byAddr, ip)
	}
}

// Accept gives the next admitted connection.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case c := <-g.conns:
		return c, nil
	case <-g.done:
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.failed != nil {
			return nil, g.failed
		}
		return nil, net.ErrClosed
	}
}

func (g *gate) close() { g.closed.Do(func() { close(g.done) }) }

// Close stops accepting; connections stay.
func (g *gate) Close() error {
	g.close()
	return g.Listener.Close()
}

type gated struct {
	net.Conn
	gate *gate
	ip   netip.Addr
	once sync.Once
}

func (c *gated) Close() error {
	c.once.Do(func() { c.gate.leave(c.ip) })
	return c.Conn.Close()
}

func addrOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap()
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

func isTooManyFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
