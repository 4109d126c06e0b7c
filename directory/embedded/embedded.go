// Package embedded is a small but real LDAP server inside this process: the
// directory behind `rookery dev` and behind tests, so that both take the same
// road as production, over a socket and through directory/ldap. It owns its
// entries, which live in one LDIF file, and the LDAP protocol (RFC 4511) on
// the server's side.
//
// It is for trying out, never for production: no schema checking, no
// replication, no password policy, and every change rewrites the whole file.
// It never speaks for another directory, and it knows no mail.
package embedded

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"rookery"
)

// Options say where the directory lives and who runs it. Only AdminPassword
// has no default.
type Options struct {
	// Path is the LDIF file that holds the entries; empty keeps them in
	// memory only.
	Path string
	// Addr is where plain LDAP is served; default 127.0.0.1:0.
	Addr string
	// Listen opens the listeners; nil is TCP.
	Listen func(ctx context.Context, address string) (net.Listener, error)
	// TLSAddr is where LDAPS is served; default nowhere. Needs TLS.
	TLSAddr string
	// Base is the suffix of the tree; default dc=example,dc=test.
	Base string
	// AdminDN may do everything; default cn=admin,<Base>. It needs no entry.
	AdminDN string
	// AdminPassword is the administrator's.
	AdminPassword string
	// TLS is the server's certificate; with it StartTLS is offered too.
	TLS *tls.Config
	// SizeLimit is the most entries one unpaged search gives, 0 for all; a
	// search that has more ends in sizeLimitExceeded, as AD does at 1,000.
	SizeLimit int
	// Logger hears of refused requests and broken connections.
	Logger *slog.Logger
}

// Server is a running directory.
type Server struct {
	opts     Options
	adminDN  string // normalised
	tree     *tree
	verified *verified
	logger   *slog.Logger

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex
	listeners []net.Listener // plain first
	conns     map[net.Conn]struct{}
}

// Open loads the entries, makes the base entries of an empty directory, and
// serves until Close. KindInvalid for unusable options, KindDamaged for a
// file that cannot be read as LDIF.
func Open(opts Options) (*Server, error) {
	s, err := prepare(opts)
	if err != nil {
		return nil, err
	}
	if len(s.tree.order) == 0 {
		if err := s.tree.change(func(ed *edit) error { return s.putOU(ed, "people") }); err != nil {
			return nil, s.outcome("open embedded directory", err)
		}
	}
	if err := s.listen(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func prepare(opts Options) (*Server, error) {
	const op = "open embedded directory"
	if opts.Addr == "" {
		opts.Addr = "127.0.0.1:0"
	}
	if opts.Base == "" {
		opts.Base = "dc=example,dc=test"
	}
	if opts.AdminDN == "" {
		opts.AdminDN = "cn=admin," + opts.Base
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Listen == nil {
		opts.Listen = listenTCP
	}
	if opts.AdminPassword == "" {
		return nil, rookery.E(op, rookery.KindInvalid, errors.New("the administrator's password is empty: set one"))
	}
	if opts.TLSAddr != "" && opts.TLS == nil {
		return nil, rookery.E(op, rookery.KindInvalid, errors.New("an LDAPS address needs a certificate: set TLS"))
	}
	base, err := parseDN(opts.Base)
	if err != nil || base.depth() == 0 {
		return nil, rookery.E(op, rookery.KindInvalid, fmt.Errorf("base %q is not a distinguished name such as dc=example,dc=test", opts.Base))
	}
	admin, err := parseDN(opts.AdminDN)
	if err != nil || admin.depth() == 0 {
		return nil, rookery.E(op, rookery.KindInvalid, fmt.Errorf("administrator %q is not a distinguished name", opts.AdminDN))
	}
	t, err := openTree(opts.Path, base)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Server{
		opts: opts, adminDN: admin.key(), tree: t, verified: newVerified(), logger: opts.Logger,
		ctx: ctx, cancel: cancel, conns: map[net.Conn]struct{}{},
	}, nil
}

func (s *Server) listen() error {
	addrs := []string{s.opts.Addr}
	if s.opts.TLSAddr != "" {
		addrs = append(addrs, s.opts.TLSAddr)
	}
	for i, addr := range addrs {
		l, err := s.opts.Listen(s.ctx, addr)
		if err != nil {
			return rookery.E("open embedded directory", rookery.KindUnavailable, err)
		}
		s.mu.Lock()
		s.listeners = append(s.listeners, l)
		s.mu.Unlock()
		s.wg.Go(func() { s.accept(l, i == 1) })
	}
	return nil
}

func listenTCP(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", address)
}

func (s *Server) accept(l net.Listener, implicitTLS bool) {
	for {
		c, err := l.Accept()
		if err != nil {
			if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			s.logger.Warn("embedded directory cannot accept a connection", "error", err)
			select { // out of file descriptors, say: do not spin
			case <-time.After(50 * time.Millisecond):
			case <-s.ctx.Done():
			}
			continue
		}
		if !s.track(c) {
			c.Close()
			return
		}
		s.wg.Go(func() {
			defer s.untrack(c)
			newConn(s, c, implicitTLS).serve()
		})
	}
}

func (s *Server) track(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) untrack(c net.Conn) {
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// Addr is where plain LDAP is served.
func (s *Server) Addr() net.Addr { return s.listeners[0].Addr() }

// TLSAddr is where LDAPS is served; nil when it is not.
func (s *Server) TLSAddr() net.Addr {
	if len(s.listeners) < 2 {
		return nil
	}
	return s.listeners[1].Addr()
}

// URL is ldap://host:port of Addr.
func (s *Server) URL() string { return "ldap://" + s.Addr().String() }

// Close ends all connections and returns when nothing runs any more. What
// clients were told is in the file already.
func (s *Server) Close() error {
	s.mu.Lock()
	s.cancel()
	for _, l := range s.listeners {
		l.Close()
	}
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}
