package signin

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"rookery"
	"rookery/directory"
	"rookery/protocols/proxy"
)

// script is a directory of a test: its answers, and what it was asked.
type script struct {
	people  map[string]directory.Entry // by folded login
	secrets map[string]string          // by key
	broken  error
	refuse  error // of every bind
	delay   time.Duration

	mu    sync.Mutex
	asked []string
}

// oneUser is alice, by two names.
func oneUser() *script {
	alice := directory.Entry{Key: "x/1", Login: "alice"}
	return &script{people: map[string]directory.Entry{"alice": alice, "alice@a.test": alice},
		secrets: map[string]string{"x/1": "secret", "x/2": "secret"}}
}

func (s *script) note(what string) {
	s.mu.Lock()
	s.asked = append(s.asked, what)
	s.mu.Unlock()
	if s.delay > 0 {
		time.Sleep(s.delay) // inside a bubble only
	}
}

// count is how many requests began so.
func (s *script) count(prefix string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.asked {
		if strings.HasPrefix(a, prefix) {
			n++
		}
	}
	return n
}

func (s *script) find(login string) (directory.Entry, error) {
	if s.broken != nil {
		return directory.Entry{}, s.broken
	}
	if e, ok := s.people[strings.ToLower(login)]; ok {
		return e, nil
	}
	return directory.Entry{}, rookery.E("find", rookery.KindNotFound, errors.New("nobody"))
}

func (s *script) Find(_ context.Context, login string) (directory.Entry, error) {
	s.note("find " + login)
	return s.find(login)
}

func (s *script) Authenticate(_ context.Context, login, password string) (directory.Entry, error) {
	s.note("bind " + login)
	if s.refuse != nil {
		return directory.Entry{}, s.refuse
	}
	e, err := s.find(login)
	switch {
	case rookery.Is(err, rookery.KindNotFound), err == nil && s.secrets[e.Key] != password:
		return directory.Entry{}, rookery.E("bind", rookery.KindCredentials, errors.New("wrong"))
	case err == nil && e.Disabled:
		return directory.Entry{}, rookery.E("bind", rookery.KindDisabled, errors.New("disabled"))
	}
	return e, err
}

func unavailable() error { return rookery.E("look", rookery.KindUnavailable, errors.New("away")) }

// from is an attempt from an address.
func from(addr string) Attempt {
	return Attempt{Protocol: proxy.IMAP, Session: "s", Client: netip.AddrPortFrom(netip.MustParseAddr(addr), 4711), TLS: "TLS 1.3"}
}

// user signs in at an Authenticator from one address.
type user struct {
	t     *testing.T
	a     *Authenticator
	s     *script
	at    Attempt
	login string
}

// gets checks the kind of a sign-in's error ("" for none), and how many binds
// it took.
func (u *user) gets(password, want string, binds int) {
	u.t.Helper()
	before := u.s.count("bind")
	_, err := u.a.Authenticate(u.t.Context(), u.at, Credentials{u.login, password})
	if err != nil && rookery.KindOf(err).String() != want || err == nil && want != "" {
		u.t.Errorf("%s from %s: %v, want %q", password, u.at.Client.Addr(), err, want)
	}
	if n := u.s.count("bind") - before; n != binds {
		u.t.Errorf("%s from %s cost %d binds, want %d", password, u.at.Client.Addr(), n, binds)
	}
}

// cluster is accounts and nodes of a test.
type cluster struct {
	quota   int64
	session proxy.Session
	away    bool // the account is served elsewhere
	ensure  error
	open    error
}

func (c *cluster) Ensure(_ context.Context, _ rookery.Owner, quota int64) (rookery.AccountID, error) {
	c.quota = quota
	return rookery.AccountID{7}, c.ensure
}

func (c *cluster) Here(context.Context, rookery.AccountID) (bool, error) { return !c.away, nil }

func (c *cluster) Open(_ context.Context, s proxy.Session) (net.Conn, string, error) {
	c.session = s
	if c.open != nil {
		return nil, "", c.open
	}
	near, far := net.Pipe()
	far.Close()
	return near, "text of the node", nil
}
