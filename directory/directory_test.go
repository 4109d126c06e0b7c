package directory

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"rookery"
)

// script is a Directory of a test: its answers, and what it was asked.
type script struct {
	domains []string
	people  map[string]Entry // by address key and login
	secrets map[string]string
	broken  error
	delay   time.Duration

	mu    sync.Mutex
	asked []string
}

func (s *script) note(what string) {
	s.mu.Lock()
	s.asked = append(s.asked, what)
	s.mu.Unlock()
	if s.delay > 0 {
		time.Sleep(s.delay) // inside a bubble only
	}
}

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

func (s *script) find(name string) (Entry, error) {
	if s.broken != nil {
		return Entry{}, s.broken
	}
	if e, ok := s.people[name]; ok {
		return e, nil
	}
	return Entry{}, rookery.E("look", rookery.KindNotFound, errors.New("nobody"))
}

func (s *script) Recipient(_ context.Context, a rookery.Address) (Entry, error) {
	s.note("rcpt " + a.String())
	return s.find(a.Key())
}

func (s *script) Find(_ context.Context, login string) (Entry, error) {
	s.note("find " + login)
	return s.find(login)
}

func (s *script) Authenticate(_ context.Context, login, password string) (Entry, error) {
	s.note("bind " + login)
	e, err := s.find(login)
	switch {
	case rookery.Is(err, rookery.KindNotFound), err == nil && s.secrets[login] != password:
		return Entry{}, rookery.E("bind", rookery.KindCredentials, errors.New("wrong"))
	case err == nil && e.Disabled:
		return Entry{}, rookery.E("bind", rookery.KindDisabled, errors.New("disabled"))
	}
	return e, err
}

func (s *script) Local(domain string) bool {
	for _, d := range s.domains {
		if d == domain {
			return true
		}
	}
	return false
}

func addr(t *testing.T, s string) rookery.Address {
	t.Helper()
	a, err := rookery.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func unavailable() error { return rookery.E("look", rookery.KindUnavailable, errors.New("away")) }

func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice := Entry{Key: "x/1", Login: "alice"}
		s := &script{people: map[string]Entry{"alice@a.test": alice}, delay: time.Millisecond}
		c := NewCache(s, CacheOptions{Size: 3})
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				for _, a := range []string{"alice@a.test", "ALICE+x@a.test"} {
					if e, err := c.Recipient(t.Context(), addr(t, a)); err != nil || e.Key != "x/1" {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if n := s.count("rcpt"); n != 1 {
			t.Errorf("%d look-ups for one address, want 1", n)
		}
		ask := func(a, want string, look int) {
			t.Helper()
			before := s.count("rcpt")
			_, err := c.Recipient(t.Context(), addr(t, a))
			if k := rookery.KindOf(err).String(); err != nil && k != want || err == nil && want != "" {
				t.Errorf("%s: %v, want %s", a, err, want)
			}
			if n := s.count("rcpt") - before; n != look {
				t.Errorf("%s cost %d look-ups, want %d", a, n, look)
			}
		}
		time.Sleep(29 * time.Second)
		ask("alice@a.test", "", 0)
		time.Sleep(2 * time.Second)
		ask("alice@a.test", "", 1)
		ask("bob@a.test", "not found", 1)
		ask("bob@a.test", "not found", 0)
		time.Sleep(6 * time.Second)
		ask("bob@a.test", "not found", 1)
		s.broken = unavailable()
		ask("carol@a.test", "unavailable", 1)
		ask("carol@a.test", "unavailable", 1)
		ask("alice@a.test", "", 0)
		time.Sleep(time.Minute)
		ask("alice@a.test", "unavailable", 1)
		s.broken = nil
		ask("alice@a.test", "", 1)
		c.Forget()
		ask("alice@a.test", "", 1)
		for _, a := range []string{"1@a.test", "2@a.test", "3@a.test", "4@a.test"} {
			ask(a, "not found", 1)
		}
		if n := c.answers.Len(); n != 3 {
			t.Errorf("%d answers kept, want 3", n)
		}
	})
}

func TestCacheStaleThroughAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{people: map[string]Entry{"alice@a.test": {Key: "x/1"}}}
		c := NewCache(s, CacheOptions{Stale: time.Hour})
		ask := func(a, want string) {
			t.Helper()
			_, err := c.Recipient(t.Context(), addr(t, a))
			if err != nil && rookery.KindOf(err).String() != want || err == nil && want != "" {
				t.Errorf("%s: %v, want %q", a, err, want)
			}
		}
		ask("alice@a.test", "")
		ask("bob@a.test", "not found")
		s.broken = unavailable()
		time.Sleep(59 * time.Minute)
		ask("alice@a.test", "")
		ask("bob@a.test", "unavailable") // "no such user" never outlives its time
		time.Sleep(2 * time.Minute)
		ask("alice@a.test", "unavailable")
		s.broken = nil
		delete(s.people, "alice@a.test")
		ask("alice@a.test", "not found")
	})
}

func TestCacheLetsTheImpatientGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{people: map[string]Entry{"alice@a.test": {Key: "x/1"}}, delay: 10 * time.Second}
		c := NewCache(s, CacheOptions{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Recipient(ctx, addr(t, "alice@a.test")); !rookery.Is(err, rookery.KindUnavailable) {
			t.Errorf("%v", err)
		}
		if e, err := c.Recipient(t.Context(), addr(t, "alice@a.test")); err != nil || e.Key != "x/1" || s.count("rcpt") != 1 {
			t.Errorf("the look-up under way is shared: %v, %d", err, s.count("rcpt"))
		}
	})
}

func TestSetRoutes(t *testing.T) {
	a := &script{domains: []string{"a.test", "shared.test"}, people: map[string]Entry{
		"alice@a.test": {Key: "a/1"}, "alice": {Key: "a/1"}, `CORP\alice`: {Key: "a/1"}, "both@shared.test": {Key: "a/2"}, "both": {Key: "a/2"},
		"onlya@shared.test": {Key: "a/3"}, "alice@upn.test": {Key: "a/1"},
	}, secrets: map[string]string{"alice": "secret", `CORP\alice`: "secret", "alice@upn.test": "secret", "onlya@shared.test": "secret"}}
	b := &script{domains: []string{"b.test", "shared.test"}, people: map[string]Entry{
		"bob@b.test": {Key: "b/1"}, "bob": {Key: "b/1"}, "both@shared.test": {Key: "b/2"}, "both": {Key: "b/2"},
	}, secrets: map[string]string{"bob": "secret", "both": "secret"}}
	s, err := NewSet(nil, Member{Name: "a", Directory: a, Prefixes: []string{"corp"}},
		Member{Name: "b", Directory: b, Prefixes: []string{"OTHER"}})
	if err != nil {
		t.Fatal(err)
	}
	type answer struct{ Key, Kind string }
	told := func(e Entry, err error) answer {
		if err != nil {
			return answer{"", rookery.KindOf(err).String()}
		}
		return answer{e.Key, ""}
	}
	rcpt := func(x string) answer { return told(s.Recipient(t.Context(), addr(t, x))) }
	sign := func(x, password string) answer { return told(s.Authenticate(t.Context(), x, password)) }
	want := func(what string, got answer, key, kind string) {
		t.Helper()
		if diff := cmp.Diff(answer{key, kind}, got); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	want("own domain", rcpt("alice+x@a.test"), "a/1", "")
	want("other's domain", rcpt("bob@b.test"), "b/1", "")
	want("shared, one owner", rcpt("onlya@shared.test"), "a/3", "")
	want("shared, two owners", rcpt("both@shared.test"), "", "unavailable")
	want("shared, nobody", rcpt("nobody@shared.test"), "", "not found")
	want("foreign", rcpt("x@c.test"), "", "not found")
	want("prefix", sign(`CORP\alice`, "secret"), "a/1", "")
	want("unknown prefix", sign(`NONE\alice`, "secret"), "", "credentials")
	want("bare", sign("bob", "secret"), "b/1", "")
	want("bare, wrong", sign("bob", "wrong"), "", "credentials")
	want("bare, two owners", sign("both", "secret"), "", "unavailable")
	want("bare, nobody", sign("eve", "secret"), "", "credentials")
	want("foreign principal", sign("alice@upn.test", "secret"), "a/1", "")
	if a.count("bind bob") > 0 || a.count("bind eve")+b.count("bind eve") > 0 || a.count("bind both") > 0 {
		t.Error("a password was tried at a directory that does not know the login")
	}
	b.broken = unavailable()
	want("shared, one away", rcpt("onlya@shared.test"), "", "unavailable")
	want("own domain, other away", rcpt("alice@a.test"), "a/1", "")
	want("bare, one away", sign("alice", "secret"), "", "unavailable")
	want("prefix, other away", sign(`CORP\alice`, "secret"), "a/1", "")
	b.broken = rookery.E("ask", rookery.KindUnavailable, ErrNotInCopy)
	want("shared, one away whose copy lacks it", rcpt("onlya@shared.test"), "a/3", "")
	want("bare, one away whose copy lacks it", sign("alice", "secret"), "a/1", "")
	want("shared, nobody, one away", rcpt("nobody@shared.test"), "", "unavailable")
	if !s.Local("b.test") || s.Local("c.test") {
		t.Error("Local is wrong")
	}
	for _, m := range [][]Member{{{Name: "", Directory: a}}, {{Name: "a", Directory: a}, {Name: "a", Directory: b}},
		{{Name: "a", Directory: a, Prefixes: []string{"x"}}, {Name: "b", Directory: b, Prefixes: []string{"X"}}}} {
		if _, err := NewSet(nil, m...); !rookery.Is(err, rookery.KindInvalid) {
			t.Errorf("%+v: %v", m, err)
		}
	}
}

// learnt is a directory that knows its DOMAIN by itself.
type learnt struct{ *script }

func (learnt) Prefixes() []string { return []string{"LEARNT"} }

func TestSetAsksForPrefixes(t *testing.T) {
	a := &script{people: map[string]Entry{`learnt\x`: {Key: "a/1"}}, secrets: map[string]string{`learnt\x`: "secret"}}
	s, err := NewSet(nil, Member{Name: "a", Directory: NewCache(learnt{a}, CacheOptions{})}, Member{Name: "b", Directory: &script{}})
	if err != nil {
		t.Fatal(err)
	}
	if e, err := s.Authenticate(t.Context(), `learnt\x`, "secret"); err != nil || e.Key != "a/1" {
		t.Errorf("%v %v", e, err)
	}
}

func TestParseLogin(t *testing.T) {
	for in, want := range map[string]Login{
		"alice":              {Text: "alice", User: "alice"},
		"  alice ":           {Text: "alice", User: "alice"},
		`corp\Alice`:         {Text: `corp\Alice`, Prefix: "CORP", User: "Alice"},
		"Alice@Example.TEST": {Text: "Alice@Example.TEST", User: "Alice", Domain: "example.test"},
		"a+b@example.test.":  {Text: "a+b@example.test.", User: "a+b", Domain: "example.test"},
		"u@bücher.test":      {Text: "u@bücher.test", User: "u", Domain: "xn--bcher-kva.test"},
		"a@b@example.test":   {Text: "a@b@example.test", User: "a@b", Domain: "example.test"},
		"Mu\u0308ller":       {Text: "Müller", User: "Müller"},
	} {
		got, err := ParseLogin(in)
		if err != nil {
			t.Errorf("%q: %v", in, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", in, diff)
		}
	}
	for _, in := range []string{"", " ", "\x00", "a\nb", "a\xffb", `\a`, `A\`, `A\b\c`, "@example.test", "a@", "a@b c",
		strings.Repeat("a", 401)} {
		if l, err := ParseLogin(in); !rookery.Is(err, rookery.KindCredentials) {
			t.Errorf("%q is %+v, %v", in, l, err)
		}
	}
	a, _ := ParseLogin("MÜLLER@Example.test")
	b, _ := ParseLogin("mu\u0308ller@example.TEST")
	if a.Key() != b.Key() {
		t.Errorf("%q and %q differ", a.Key(), b.Key())
	}
}

func TestEntryHas(t *testing.T) {
	e := Entry{Addresses: []rookery.Address{addr(t, "Alice.Smith@a.test")}}
	for s, want := range map[string]bool{"alice.smith+x@a.test": true, "alicesmith@a.test": false, "alice.smith@b.test": false} {
		if e.Has(addr(t, s)) != want {
			t.Errorf("%s: %v", s, !want)
		}
	}
}
