package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	gosmtp "github.com/emersion/go-smtp"
	"rookery"
)

// Serve accepts connections until ctx ends, the listener fails, or Shutdown is
// called; the last gives nil. When ctx ends, connections are cut at once.
func (s *Server) Serve(ctx context.Context, ln net.Listener, mode Mode) error {
	if mode != MX && s.o.TLS == nil {
		return rookery.E("serve smtp", rookery.KindInvalid, fmt.Errorf("the %s listener needs a TLS certificate", mode))
	}
	l := &listener{Listener: ln, server: s, mode: mode}
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
	err := s.engine(ctx, mode).Serve(l)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// engine sets up go-smtp for one listener.
func (s *Server) engine(ctx context.Context, mode Mode) *gosmtp.Server {
	e := gosmtp.NewServer(gosmtp.BackendFunc(func(c *gosmtp.Conn) (gosmtp.Session, error) {
		return s.newSession(ctx, c, mode), nil
	}))
	e.Domain = s.o.Hostname
	e.TLSConfig = s.o.TLS
	e.MaxRecipients = s.o.Limits.Recipients
	e.MaxMessageBytes = s.o.Deliver.MaxSize()
	e.MaxLineLength = s.o.Limits.LineLength
	e.ReadTimeout = s.o.Limits.Command
	e.EnableSMTPUTF8 = true
	e.EnableDSN = true
	e.ErrorLog = engineLog{s.o.Logger}
	return e
}

// engineLog hears what go-smtp says when a connection breaks.
type engineLog struct{ logger *slog.Logger }

func (l engineLog) Printf(format string, v ...any) {
	l.logger.Debug("smtp: engine", "text", fmt.Sprintf(format, v...))
}
func (l engineLog) Println(v ...any) { l.logger.Debug("smtp: engine", "text", fmt.Sprintln(v...)) }

// listener hands wires to the engine.
type listener struct {
	net.Listener
	server *Server
	mode   Mode
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		w := newWire(c, l)
		if why := l.server.admit(w); why != "" {
			l.server.o.Logger.Warn("smtp: connection refused", "client", c.RemoteAddr().String(), "why", why)
			if l.mode != Submissions {
				c.SetWriteDeadline(time.Now().Add(time.Second))
				fmt.Fprintf(c, "421 4.7.0 %s %s\r\n", l.server.o.Hostname, why)
			}
			c.Close()
			continue
		}
		if l.mode == Submissions {
			return tls.Server(w, l.server.o.TLS), nil
		}
		return w, nil
	}
}

// admit counts a connection in, or says why not.
func (s *Server) admit(w *wire) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.draining:
		return "is shutting down"
	case len(s.wires) >= s.o.Limits.Connections:
		return "has too many connections; try again later"
	case s.perIP[w.ip] >= s.o.Limits.PerAddress:
		return "has too many connections from your address; try again later"
	}
	s.wires[w] = struct{}{}
	s.perIP[w.ip]++
	return ""
}

// release counts a closed connection out.
func (s *Server) release(w *wire) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.wires[w]; !ok {
		return
	}
	delete(s.wires, w)
	if s.perIP[w.ip]--; s.perIP[w.ip] <= 0 {
		delete(s.perIP, w.ip)
	}
	if s.draining && len(s.wires) == 0 {
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
	for _, w := range s.snapshot() {
		if l == nil || w.listener == l {
			w.Conn.Close()
		}
	}
}

func (s *Server) snapshot() []*wire {
	s.mu.Lock()
	defer s.mu.Unlock()
	ws := make([]*wire, 0, len(s.wires))
	for w := range s.wires {
		ws = append(ws, w)
	}
	return ws
}

// Shutdown stops accepting, tells idle clients 421, lets running transactions
// finish, and returns when all connections are closed. When ctx ends first the
// rest is cut and ctx's error returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	first := !s.draining
	s.draining = true
	if first && len(s.wires) == 0 {
		close(s.empty)
	}
	for l := range s.listeners {
		l.Listener.Close()
	}
	s.mu.Unlock()
	for _, w := range s.snapshot() {
		w.drain()
	}
	select {
	case <-s.empty:
		return nil
	case <-ctx.Done():
		s.cut(nil)
		return ctx.Err()
	}
}
