package smtp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
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
	l := &listener{Listener: ln, server: s, mode: mode, secure: newQueue(ln.Addr())}
	if !s.conns.Listen(ln) {
		return nil
	}
	defer s.conns.Leave(ln)
	stop := context.AfterFunc(ctx, func() {
		ln.Close()
		s.conns.Cut(ln)
	})
	defer stop()
	var under sync.WaitGroup
	under.Go(func() { s.engine(ctx, mode, true).Serve(l.secure) })
	defer under.Wait()
	defer l.secure.Close()
	err := s.engine(ctx, mode, false).Serve(l)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// engine sets up go-smtp for the connections of one listener, those in clear or
// those under TLS, which it knows nothing of: wire sees to it.
func (s *Server) engine(ctx context.Context, mode Mode, secure bool) *gosmtp.Server {
	e := gosmtp.NewServer(gosmtp.BackendFunc(func(c *gosmtp.Conn) (gosmtp.Session, error) {
		ss, err := s.newSession(ctx, c, mode)
		if err != nil {
			return nil, err
		}
		return observed{ss}, nil
	}))
	e.Domain = s.o.Hostname
	if e.AllowInsecureAuth = secure; !secure {
		e.TLSConfig = s.o.TLS // offers STARTTLS
	}
	e.MaxRecipients = s.o.Limits.Recipients
	e.MaxMessageBytes = s.o.Deliver.MaxSize()
	e.MaxLineLength = 0 // wire has the limit
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
	secure *queue // connections under TLS
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		w := newWire(c, l)
		if why := l.server.conns.Admit(w); why != "" {
			l.server.o.Logger.Warn("smtp: connection refused", "client", c.RemoteAddr().String(), "why", why)
			if l.mode != Submissions {
				c.SetWriteDeadline(time.Now().Add(time.Second))
				fmt.Fprintf(c, "421 4.7.0 %s %s\r\n", l.server.o.Hostname, why)
			}
			c.Close()
			continue
		}
		if l.mode == Submissions {
			next := w.overTLS()
			if !l.server.conns.Replace(w, next) || !l.secure.offer(next) {
				c.Close()
				l.server.conns.Release(next)
			}
			continue
		}
		return w, nil
	}
}

// Shutdown stops accepting, tells idle clients 421, lets running transactions
// finish, and returns when all connections are closed. When ctx ends first the
// rest is cut and ctx's error returned.
func (s *Server) Shutdown(ctx context.Context) error { return s.conns.Shutdown(ctx) }
