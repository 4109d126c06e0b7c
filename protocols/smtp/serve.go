package smtp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

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
	if !s.conns.Listen(ln) {
		return nil
	}
	defer s.conns.Leave(ln)
	stop := context.AfterFunc(ctx, func() {
		ln.Close()
		s.conns.Cut(ln)
	})
	defer stop()
	l := &listener{ln, s, mode}
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			s.accept(newConn(ctx, nc, l))
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, net.ErrClosed):
			return nil
		case isTemporary(err):
			s.o.Logger.Warn("smtp: accept failed", "error", err)
			pause(ctx, 100*time.Millisecond)
		default:
			return err
		}
	}
}

// isTemporary reports an accept error that may pass, such as too many open files.
func isTemporary(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Temporary() bool
	}](err)
	return ok && t.Temporary()
}

// accept serves a connection, or says why not.
func (s *Server) accept(c *conn) {
	if why := s.conns.Admit(c); why != "" {
		s.o.Logger.Warn("smtp: connection refused", "client", c.ip, "why", why)
		if c.listener.mode != Submissions {
			c.send(say(421, enhanced{4, 7, 0}, s.o.Hostname+" "+why))
			c.flush(time.Second)
		}
		c.socket.Close()
		return
	}
	go func() {
		defer s.conns.Release(c)
		c.serve()
	}()
}

// Shutdown stops accepting, tells idle clients 421, lets running transactions
// finish, and returns when all connections are closed. When ctx ends first the
// rest is cut and ctx's error returned.
func (s *Server) Shutdown(ctx context.Context) error { return s.conns.Shutdown(ctx) }
