package pop3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

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
	if !s.conns.Listen(ln) {
		return nil
	}
	defer s.conns.Leave(ln)
	stop := context.AfterFunc(ctx, func() {
		ln.Close()
		s.conns.Cut(ln)
	})
	defer stop()
	l := &listener{ln, mode}
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			s.accept(ctx, nc, l)
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, net.ErrClosed):
			return nil
		case isTemporary(err):
			s.o.Logger.Warn("pop3: accept failed", "error", err)
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

func (s *Server) accept(ctx context.Context, nc net.Conn, l *listener) {
	c := newConn(s, nc, l)
	if why := s.conns.Admit(c); why != "" {
		s.o.Logger.Warn("pop3: connection refused", "client", nc.RemoteAddr().String(), "why", why)
		if l.mode != TLS {
			nc.SetWriteDeadline(time.Now().Add(time.Second))
			fmt.Fprintf(nc, "-ERR [SYS/TEMP] %s %s\r\n", s.o.Hostname, why)
		}
		nc.Close()
		return
	}
	go func() {
		defer s.conns.Release(c)
		defer nc.Close()
		c.serve(ctx)
	}()
}

// Shutdown stops accepting, ends idle sessions with a response, lets running
// commands finish, and returns when all connections are closed. What sessions
// have marked with DELE stays, as RFC 1939 6 wants without QUIT. When ctx ends
// first the rest is cut and ctx's error returned.
func (s *Server) Shutdown(ctx context.Context) error { return s.conns.Shutdown(ctx) }

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
