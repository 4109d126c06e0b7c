package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"rookery/directory/ldap/result"
)

// maxIdle is how long a bind connection may lie unused: below the idle limits
// of servers (Active Directory's is 15 minutes) and of firewalls.
const maxIdle = time.Minute

// server is one LDAP server: its connections and whether it answers.
type server struct {
	d        *Directory
	url      string
	addr     string
	tls      *tls.Config // nil: unencrypted
	startTLS bool

	slots  [shares][]*slot // search connections, bound as the service account
	turn   atomic.Uint32   // which slot is next
	bindOK chan struct{}   // one token for each connection in the bind pool
	kick   chan struct{}   // asks for a probe at once

	mu   sync.Mutex
	idle []*conn // bind connections, used last at the end
	err  error   // why the server is down; nil when it is up
	fell time.Time
}

// share is what search connections are kept apart for.
type share int

const (
	forRecipients share = iota
	forSignIns          // and for what is asked about the server itself
	shares
)

// slot holds one shared search connection.
type slot struct {
	lock chan struct{} // held while dialling
	c    atomic.Pointer[conn]
}

var errNotProbed = errors.New("not reached yet")

func newServer(d *Directory, raw string) (*server, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, err // Validate has parsed it before
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme]
	}
	s := &server{
		d: d, url: raw, addr: net.JoinHostPort(u.Hostname(), port), startTLS: u.Scheme == "ldap" && d.cfg.StartTLS,
		bindOK: make(chan struct{}, d.cfg.BindConns), kick: make(chan struct{}, 1), err: errNotProbed,
	}
	if u.Scheme == "ldaps" || s.startTLS {
		if s.tls, err = d.cfg.tlsConfig(u.Hostname()); err != nil {
			return nil, err
		}
	}
	for k, n := range [shares]int{d.cfg.SearchConns, d.cfg.SignInConns} {
		for range n {
			s.slots[k] = append(s.slots[k], &slot{lock: make(chan struct{}, 1)})
		}
	}
	return s, nil
}

// down is why the server is not to be used; nil when it is.
func (s *server) down() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// suspect takes the server out of use until a probe has succeeded, and asks
// for that probe at once.
func (s *server) suspect(err error) {
	s.mu.Lock()
	was := s.err
	s.err = err
	if was == nil {
		s.fell = time.Now()
	}
	s.mu.Unlock()
	if was == nil && s.d.ctx.Err() == nil {
		s.d.logger.Warn("directory server does not answer: others are used until it does", "server", s.url, "error", err)
	}
	s.ask()
}

// ask wants a probe now.
func (s *server) ask() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

func (s *server) revive() {
	s.mu.Lock()
	was := s.err
	s.err = nil
	s.mu.Unlock()
	if was != nil {
		s.d.logger.Info("directory server answers", "server", s.url)
		s.d.changed()
	}
}

// service gives a search connection, bound as the service account. Callers
// that waited for one dial do not each try another when it has failed.
func (s *server) service(ctx context.Context, of share, probing bool) (c *conn, fresh bool, err error) {
	sl := s.slots[of][int(s.turn.Add(1))%len(s.slots[of])]
	if c := sl.c.Load(); c.usable() {
		return c, false, nil
	}
	select {
	case sl.lock <- struct{}{}:
		defer func() { <-sl.lock }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	if c := sl.c.Load(); c.usable() { // somebody else has dialled meanwhile
		return c, false, nil
	}
	if down := s.down(); down != nil && !probing {
		return nil, true, down
	}
	if c, err = s.dialService(ctx); err != nil {
		if !probing && result.Elsewhere(ctx, err) {
			s.suspect(err) // before the next in line takes the lock
		}
		return nil, true, err
	}
	if old := sl.c.Swap(c); old != nil {
		old.discard()
	}
	if s.d.ctx.Err() != nil { // Close has been here already
		c.discard()
		return nil, true, s.d.ctx.Err()
	}
	return c, true, nil
}

// dialService connects and binds as the service account. Wrong credentials
// here are our trouble, never the user's.
func (s *server) dialService(ctx context.Context) (*conn, error) {
	c, err := s.dial(ctx)
	if err != nil || s.d.cfg.BindDN == "" {
		return c, err
	}
	stop := context.AfterFunc(ctx, c.discard)
	defer stop()
	err = s.d.account.bind(ctx, s.d.now, s.d.cfg.Retry, func() error { return c.Bind(s.d.cfg.BindDN, s.d.cfg.Password) })
	if err != nil {
		c.discard()
		return nil, fmt.Errorf("the service account %s cannot bind: %w", s.d.cfg.BindDN, result.Explain(err))
	}
	return c, nil
}

// search runs one request on a shared connection. A connection that died
// while it lay idle is replaced once.
func (s *server) search(ctx context.Context, of share, req *goldap.SearchRequest) (*goldap.SearchResult, error) {
	return s.searchAs(ctx, of, req, false)
}

// searchAs is search; probing goes ahead although the server is down.
func (s *server) searchAs(ctx context.Context, of share, req *goldap.SearchRequest, probing bool) (*goldap.SearchResult, error) {
	for {
		c, fresh, err := s.service(ctx, of, probing)
		if err != nil {
			return nil, err
		}
		res, err := s.searchOn(ctx, c, req)
		if err == nil || fresh || !result.Lost(err) || !c.IsClosing() || ctx.Err() != nil {
			return res, err
		}
	}
}

// searchOn lets the caller go when ctx ends, while the request itself runs on
// to its own timeout, because others use the connection.
func (s *server) searchOn(ctx context.Context, c *conn, req *goldap.SearchRequest) (*goldap.SearchResult, error) {
	type answer struct {
		res *goldap.SearchResult
		err error
	}
	done := make(chan answer, 1)
	go func() {
		res, err := c.Search(req)
		if err != nil && result.Lost(err) {
			timedOut := !c.IsClosing()
			c.discard()
			if timedOut {
				s.suspect(err)
			}
		}
		done <- answer{res, err}
	}()
	select {
	case a := <-done:
		return a.res, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// binder takes a connection for one bind from the pool.
func (s *server) binder(ctx context.Context) (c *conn, fresh bool, err error) {
	select {
	case s.bindOK <- struct{}{}:
	case <-ctx.Done():
		return nil, false, fmt.Errorf("all %d bind connections are busy: %w", cap(s.bindOK), ctx.Err())
	}
	now := time.Now()
	s.mu.Lock()
	for len(s.idle) > 0 && c == nil {
		last := s.idle[len(s.idle)-1]
		s.idle = s.idle[:len(s.idle)-1]
		if last.usable() && now.Sub(last.used) < maxIdle {
			c = last
		} else {
			last.discard()
		}
	}
	s.mu.Unlock()
	if c != nil {
		return c, false, nil
	}
	if err = s.down(); err == nil { // it may have gone while this call waited
		c, err = s.dial(ctx)
		if err != nil && result.Elsewhere(ctx, err) {
			s.suspect(err)
		}
	}
	if err != nil {
		<-s.bindOK
	}
	return c, true, err
}

// release gives a bind connection back.
func (s *server) release(c *conn) {
	if c.usable() && s.d.ctx.Err() == nil {
		c.used = time.Now()
		s.mu.Lock()
		s.idle = append(s.idle, c)
		s.mu.Unlock()
	} else {
		c.discard()
	}
	<-s.bindOK
}

// bind checks a password on a kept connection. The result is the server's;
// an error that lost matches means that it gave none.
func (s *server) bind(ctx context.Context, dn, password string) (*goldap.SimpleBindResult, error) {
	for {
		c, fresh, err := s.binder(ctx)
		if err != nil {
			return nil, err
		}
		stop := context.AfterFunc(ctx, c.discard)
		req := goldap.NewSimpleBindRequest(dn, password, []goldap.Control{goldap.NewControlBeheraPasswordPolicy()})
		res, err := c.SimpleBind(req)
		stop()
		died := c.IsClosing() && !c.bad.Load()
		if err != nil && result.Lost(err) {
			c.bad.Store(true) // a timed-out connection may answer the next bind with this one's result
			if (fresh || !died) && result.Elsewhere(ctx, err) {
				s.suspect(err) // before the next in line takes the token
			}
		}
		s.release(c)
		if err == nil || fresh || !died || !result.Lost(err) || ctx.Err() != nil {
			if err != nil && ctx.Err() != nil {
				err = errors.Join(ctx.Err(), err)
			}
			return res, err
		}
	}
}

// drop ends all connections.
func (s *server) drop() {
	s.mu.Lock()
	idle := s.idle
	s.idle = nil
	s.mu.Unlock()
	for _, c := range idle {
		c.discard()
	}
	for _, sl := range slices.Concat(s.slots[:]...) {
		if c := sl.c.Swap(nil); c != nil {
			c.discard()
		}
	}
}
