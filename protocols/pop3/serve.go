package pop3

import (
	"context"
	"errors"
	"net"

	"rookery"
)

type listener struct {
	net.Listener
	mode Mode
}

// Serve accepts connections until ctx ends, the listener fails, or Shutdown is
// called; the last gives nil. When ctx ends, connections are cut at once.
func (s *Server) Serve(ctx context.Context, ln net.Listener, mode Mode) error {
	if mode == TLS && s.o.TLS == nil {
		return rookery.E("serve pop3", rookery.KindInvalid, errors.New("the pop3s listener needs a TLS certificate"))
	}
	l := &listener{ln, mode}
	return s.conns.Serve(ctx, ln, func(nc net.Conn) {
		c := newConn(s, nc, l)
		if !s.conns.Add(c) {
			nc.Close()
			return
		}
		go func() {
			defer s.conns.Remove(c)
			defer nc.Close()
			c.serve(ctx)
		}()
	})
}

// Shutdown stops accepting, ends idle sessions with a response, lets running
// commands finish, and returns when all connections are closed. What sessions
// have marked with DELE stays, as RFC 1939 6 wants without QUIT. When ctx ends
// first the rest is cut and ctx's error returned.
func (s *Server) Shutdown(ctx context.Context) error { return s.conns.Shutdown(ctx) }
