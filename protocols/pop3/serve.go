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
	l := &listener{ln, mode}
	if !s.addListener(l) {
		ln.Close()
		return nil
	}
	defer s.removeListener(l)
	stop := context.AfterFunc(ctx, func() {
		ln.Close()
		s.cut(l)
	})
	defer stop()
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
	if why := s.admit(c); why != "" {
		s.o.Logger.Warn("pop3: connection refused", "client", nc.RemoteAddr().String(), "why", why)
		if l.mode != TLS {
			nc.SetWriteDeadline(time.Now().Add(time.Second))
			fmt.Fprintf(nc, "-ERR [SYS/TEMP] %s %s\r\n", s.o.Hostname, why)
		}
		nc.Close()
		return
	}
	go func() {
		defer s.release(c)
		defer nc.Close()
		c.serve(ctx)
	}()
}

// admit counts a connection in, or says why not.
func (s *Server) admit(c *conn) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.draining:
		return "is shutting down"
	case len(s.conns) >= s.o.Limits.Connections:
		return "has too many connections; try again later"
	case s.perIP[c.ip] >= s.o.Limits.PerAddress:
		return "has too many connections from your address; try again later"
	}
	s.conns[c] = struct{}{}
	s.perIP[c.ip]++
	return ""
}

func (s *Server) release(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.perIP[c.ip]--; s.perIP[c.ip] <= 0 {
		delete(s.perIP, c.ip)
	}
	if s.draining && len(s.conns) == 0 {
		close(s.empty)
	}
}

func (s *Server) addListener(l *listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.draining {
		s.listeners[l] = struct{}{}
	}
	return !s.draining
}

func (s *Server) removeListener(l *listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

// cut breaks the connections of a listener, or all for nil.
func (s *Server) cut(l *listener) {
	for _, c := range s.snapshot() {
		if l == nil || c.listener == l {
			c.socket.Close()
		}
	}
}

func (s *Server) snapshot() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	cs := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		cs = append(cs, c)
	}
	return cs
}

// Shutdown stops accepting, ends idle sessions with a response, lets running
// commands finish, and returns when all connections are closed. What sessions
// have marked with DELE stays, as RFC 1939 6 wants without QUIT. When ctx ends
// first the rest is cut and ctx's error returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.draining && len(s.conns) == 0 {
		close(s.empty)
	}
	s.draining = true
	for l := range s.listeners {
		l.Close()
	}
	s.mu.Unlock()
	for _, c := range s.snapshot() {
		c.drain()
	}
	select {
	case <-s.empty:
		return nil
	case <-ctx.Done():
		s.cut(nil)
		return ctx.Err()
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
