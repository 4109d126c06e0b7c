package imap

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// logged is what a server has logged.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// A session that does not end holds up a stop for a few seconds only.
func TestShutdownLeavesWhatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out logged
		srv := New(Options{Logger: out.logger()})
		a, b := net.Pipe()
		defer b.Close()
		s := newSession(srv, a, Mode{})
		srv.conns.Add(s)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		began := time.Now()
		if err := srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ended with %v", err)
		}
		if d := time.Since(began); d != 35*time.Second {
			t.Errorf("took %v", d)
		}
		has(t, out.String(), "level=WARN", "do not end", "sessions=1")
		srv.conns.Remove(s)
	})
}

// A client that leaves in the middle of a FETCH is no event for the log.
func TestClientLeavesFetch(t *testing.T) {
	var out logged
	s := newStack(t, func(o *Options) { o.Logger = out.logger() })
	s.file("ann", "INBOX", "Subject: large\r\n\r\n"+strings.Repeat(strings.Repeat("x", 998)+"\r\n", 8<<10))
	c := s.signIn("ann")
	c.ok("SELECT INBOX")
	c.send("a FETCH 1 (" + strings.TrimSpace(strings.Repeat("BODY.PEEK[] ", 50)) + ")\r\n")
	if _, err := c.r.ReadByte(); err != nil {
		t.Fatal(err)
	}
	c.conn.(*tls.Conn).NetConn().Close()
	for end := time.Now().Add(5 * time.Second); s.server.Sessions() > 0; {
		if time.Now().After(end) {
			t.Fatal("the session lives on")
		}
		runtime.Gosched()
	}
	lacks(t, out.String(), "level=WARN", "level=ERROR")
	if n := strings.Count(out.String(), "half-way"); n > 1 {
		t.Errorf("logged %d times:\n%s", n, out.String())
	}
}
