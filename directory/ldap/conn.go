package ldap

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	goldap "github.com/go-ldap/ldap/v3"
)

// conn is one connection to a server. Its identity is the service account's
// or, in the bind pool, whoever was bound last: the two kinds never mix.
type conn struct {
	*goldap.Conn
	raw  *stream
	used time.Time // when it went back to the pool
	bad  atomic.Bool
}

// stream bounds every write, because go-ldap writes without a deadline and a
// frozen server stops reading.
type stream struct {
	net.Conn
	timeout time.Duration
}

func (s *stream) Write(p []byte) (int, error) {
	if err := s.Conn.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return 0, err
	}
	return s.Conn.Write(p)
}

// usable reports whether the connection may serve another request. go-ldap
// does not notice a timeout, so bad does.
func (c *conn) usable() bool { return c != nil && !c.bad.Load() && !c.IsClosing() }

// discard ends a connection without waiting for anybody.
func (c *conn) discard() {
	if c == nil {
		return
	}
	c.bad.Store(true)
	c.raw.Conn.Close() // first: a write that hangs must not hold up Close
	go c.Conn.Close()
}

// dial connects, TLS included, anonymously.
func (s *server) dial(ctx context.Context) (*conn, error) {
	cfg := s.d.cfg
	ctx, cancel := context.WithTimeout(ctx, cfg.DialTimeout)
	defer cancel()
	stop := context.AfterFunc(s.d.ctx, cancel)
	defer stop()
	nc, err := cfg.Dial(ctx, s.addr)
	if err != nil {
		return nil, err
	}
	raw := &stream{nc, cfg.OperationTimeout}
	if s.tls == nil || s.startTLS {
		c := &conn{Conn: goldap.NewConn(raw, false), raw: raw}
		c.Start()
		c.SetTimeout(cfg.OperationTimeout)
		if s.startTLS {
			err = c.encrypt(ctx, s.tls)
		}
		if err != nil {
			c.discard()
			return nil, err
		}
		return c, nil
	}
	t := tls.Client(raw, s.tls)
	if err := t.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, fmt.Errorf("TLS: %w", explainTLS(err))
	}
	c := &conn{Conn: goldap.NewConn(t, true), raw: raw}
	c.Start()
	c.SetTimeout(cfg.OperationTimeout)
	return c, nil
}

func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	dialer := net.Dialer{KeepAlive: 30 * time.Second}
	return dialer.DialContext(ctx, "tcp", address)
}

// encrypt is StartTLS (RFC 4511 4.14). go-ldap hides the certificate error's
// type, so the configuration catches it.
func (c *conn) encrypt(ctx context.Context, cfg *tls.Config) error {
	stop := context.AfterFunc(ctx, func() { c.raw.Conn.Close() })
	defer stop()
	deadline, _ := ctx.Deadline()
	c.raw.SetReadDeadline(deadline)
	probe := cfg.Clone()
	var verify error
	if !cfg.InsecureSkipVerify {
		probe.InsecureSkipVerify = true // VerifyConnection below verifies in the usual way
		probe.VerifyConnection = func(cs tls.ConnectionState) error {
			verify = verifyChain(cfg, cs)
			return verify
		}
	}
	err := c.StartTLS(probe)
	c.raw.SetReadDeadline(time.Time{})
	switch {
	case verify != nil:
		return fmt.Errorf("StartTLS: %w", explainTLS(verify))
	case err != nil:
		return fmt.Errorf("StartTLS: %w", err)
	}
	return nil
}
