package smtp

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"rookery"
)

// listener is where connections of one mode come from.
type listener struct {
	net.Listener
	server *Server
	mode   Mode
}

// Serve accepts connections until ctx ends, the listener fails, or Shutdown is
// called; the last gives nil. When ctx ends, connections are cut at once.
func (s *Server) Serve(ctx context.Context, ln net.Listener, mode Mode) error {
	if mode != MX && s.o.TLS == nil {
		return rookery.E("serve smtp", rookery.KindInvalid, fmt.Errorf("the %s listener needs a TLS certificate", mode))
	}
	if mode == Relay && s.o.Relays == nil {
		return rookery.E("serve smtp", rookery.KindInvalid, fmt.Errorf("nothing says who may relay"))
	}
	l := &listener{ln, s, mode}
	return s.conns.Serve(ctx, ln, func(nc net.Conn) {
		c := newConn(ctx, nc, l)
		if !s.conns.Add(c) {
			nc.Close()
			return
		}
		go func() {
			defer s.conns.Remove(c)
			c.serve()
		}()
	})
}

// Shutdown stops accepting, tells idle clients 421, lets running transactions
// finish, and returns when all connections are closed. When ctx ends first the
// rest is cut and ctx's error returned.
func (s *Server) Shutdown(ctx context.Context) error { return s.conns.Shutdown(ctx) }

// tls is what its connections are protected with.
func (l *listener) tls() *tls.Config {
	if l.mode == Relay {
		return l.server.o.RelayTLS
	}
	return l.server.o.TLS
}
