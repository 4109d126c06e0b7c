package signin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rookery"
	"rookery/directory"
	"rookery/protocols/proxy"
)

// A right password is remembered shortly, a wrong one costs one bind, equal
// tries share one.
func TestVerdictsAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := oneUser()
		s.delay = time.Millisecond
		a := New(Options{Directory: s, Limits: Limits{Delay: -1}})
		u := user{t, a, s, from("192.0.2.1"), "alice"}
		u.gets("secret", "", 1)
		u.gets("secret", "", 0)
		u.gets("wrong", "credentials", 1)
		u.gets("wrong", "credentials", 0)
		u.gets("", "credentials", 0)
		var wg sync.WaitGroup
		for range 30 {
			wg.Go(func() { a.Authenticate(t.Context(), u.at, Credentials{"Alice", "other"}) })
		}
		wg.Wait()
		if n := s.count("bind Alice"); n != 1 {
			t.Errorf("a storm cost %d binds", n)
		}
		s.people["alice"] = directory.Entry{Key: "x/1", Disabled: true}
		u.gets("secret", "disabled", 0)
		s.people["alice"] = directory.Entry{Key: "x/2"} // another account under the same name
		u.gets("secret", "", 1)
		s.people["alice"] = directory.Entry{Key: "x/2", Locked: true}
		u.gets("secret", "", 1)
		s.people["alice"] = directory.Entry{Key: "x/2"}
		s.broken = unavailable()
		u.gets("secret", "", 0)
		u.gets("never seen", "unavailable", 1)
		u.gets("never seen", "unavailable", 1)
		time.Sleep(6 * time.Minute)
		u.gets("secret", "unavailable", 1)
		s.broken = nil
		u.gets("secret", "", 1)
		u.gets("wrong", "credentials", 1)
		delete(s.people, "alice")
		u.gets("secret", "credentials", 1)
	})
}

// A telephone that repeats an old password every minute for a day costs few
// binds, and shuts nobody out.
func TestForgottenTelephone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := oneUser()
		s.people["bob"] = directory.Entry{Key: "x/2", Login: "bob"}
		a := New(Options{Directory: s, Limits: Limits{Delay: -1}})
		for range 24 * 60 {
			_, err := a.Authenticate(t.Context(), from("192.0.2.1"), Credentials{"alice", "old"})
			if !rookery.Is(err, rookery.KindCredentials) {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		if n := s.count("bind"); n > 50 {
			t.Errorf("one password cost %d binds in a day", n)
		}
		for _, login := range []string{"alice", "bob"} {
			u := user{t, a, s, from("192.0.2.1"), login}
			u.gets("secret", "", 1)
		}
	})
}

func TestDisabledStandsShortly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := oneUser()
		s.people["alice"] = directory.Entry{Key: "x/1", Disabled: true}
		u := user{t, New(Options{Directory: s, Limits: Limits{Delay: -1}}), s, from("192.0.2.1"), "alice"}
		u.gets("secret", "disabled", 1)
		u.gets("secret", "disabled", 0)
		s.people["alice"] = directory.Entry{Key: "x/1"}
		time.Sleep(16 * time.Second)
		u.gets("secret", "", 1)
	})
}

func TestSignInGivesTheAccount(t *testing.T) {
	s, c := oneUser(), &cluster{}
	s.people["bob"] = directory.Entry{Key: "x/2", Login: "bob", Quota: 5, Primary: rookery.Address{Local: "bob", Domain: "a.test"}}
	a := New(Options{Directory: s, Accounts: c, Nodes: c, DefaultQuota: func() int64 { return 99 }, Limits: Limits{Delay: -1}})
	sign := func(login string) (Result, error) {
		return a.SignIn(t.Context(), from("192.0.2.1"), Credentials{login, "secret"})
	}
	r, err := sign("alice")
	if err != nil || r.Account != (rookery.AccountID{7}) || r.Entry.Key != "x/1" || r.Onward != nil || c.quota != 99 {
		t.Errorf("%+v %v, quota %d", r, err, c.quota)
	}
	c.away = true
	r, err = sign("bob")
	if err != nil || r.Onward == nil || r.Text != "text of the node" || c.quota != 5 {
		t.Fatalf("%+v %v, quota %d", r, err, c.quota)
	}
	r.Onward.Close()
	want := proxy.Session{Protocol: proxy.IMAP, Account: rookery.AccountID{7}, Login: "bob", Address: "bob@a.test",
		Client: from("192.0.2.1").Client, TLS: "TLS 1.3"}
	if c.session != want {
		t.Errorf("handed over: %+v", c.session)
	}
	// What fails behind the right password is no doubt about it, but for what
	// the other node says.
	for _, kind := range rookery.Kinds() {
		want := rookery.KindUnavailable
		switch kind {
		case rookery.KindLimit, rookery.KindDisabled, rookery.KindUnknown:
			want = kind
		}
		c.open = rookery.E("open", kind, nil)
		if r, err := sign("bob"); rookery.KindOf(err) != want || err == nil || r.Account == (rookery.AccountID{}) {
			t.Errorf("the node says %v: %v", kind, err)
		}
	}
	c.ensure = rookery.E("ensure", rookery.KindMoved, nil)
	if r, err := sign("bob"); !rookery.Is(err, rookery.KindUnavailable) || Failed(err) || r.Entry.Key == "" {
		t.Errorf("%+v %v", r, err)
	}
}

func TestFailed(t *testing.T) {
	for _, kind := range rookery.Kinds() {
		want := kind == rookery.KindCredentials || kind == rookery.KindDisabled
		if got := Failed(rookery.E("x", kind, errors.New("y"))); got != want {
			t.Errorf("%v: %v", kind, got)
		}
	}
	if !Failed(overdrawn()) || !rookery.Is(overdrawn(), rookery.KindLimit) || Failed(nil) {
		t.Error("an overdrawn budget")
	}
}

// The line of a sign-in has the same fields whatever it came to, and never a
// password.
func TestLogLine(t *testing.T) {
	var b bytes.Buffer
	s, c := oneUser(), &cluster{}
	a := New(Options{Directory: s, Accounts: c, Limits: Limits{Delay: -1}, Logger: slog.New(slog.NewTextHandler(&b, nil))})
	at := from("192.0.2.1")
	a.SignIn(t.Context(), at, Credentials{"alice@a.test", "secret"})
	a.SignIn(t.Context(), at, Credentials{"alice", "a wrong one"})
	a.SignIn(t.Context(), at, Credentials{strings.Repeat("x", 9000) + "\n", "a wrong one"})
	a.Deny(t.Context(), at, "bob", ErrIdentity)
	s.broken = unavailable()
	a.Authenticate(t.Context(), at, Credentials{"alice", "never seen"})
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 5 {
		t.Fatalf("%d lines: %s", len(lines), b.String())
	}
	for i, want := range []string{"INFO msg=sign-in|user=alice kind=ok|account=07|here=true",
		"INFO msg=sign-in|user=alice kind=credentials|error=",
		"kind=credentials", "user=bob kind=credentials", "WARN msg=sign-in|kind=unavailable|error="} {
		for _, part := range append(strings.Split(want, "|"), "protocol=imap", "session=s", "client=192.0.2.1", "took=") {
			if !strings.Contains(lines[i], part) {
				t.Errorf("%q lacks %q", lines[i], part)
			}
		}
		if strings.Contains(lines[i], "wrong one") || strings.Contains(lines[i], "secret") || len(lines[i]) > 1500 {
			t.Errorf("%q", lines[i])
		}
	}
}

func TestDelaysGrowAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := oneUser()
		a := New(Options{Directory: s})
		late := func(ctx context.Context, at Attempt, login, password string) time.Duration {
			began := time.Now()
			a.Authenticate(ctx, at, Credentials{login, password})
			return time.Since(began).Round(time.Second)
		}
		at := from("2001:db8::1")
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 16} {
			if d := late(t.Context(), at, "alice", "wrong"); d != want*time.Second {
				t.Errorf("failure %d is answered after %v", i+1, d)
			}
		}
		if d := late(t.Context(), from("2001:db8::ffff"), "Alice", "wrong"); d != 16*time.Second {
			t.Errorf("another address of the /64: %v", d)
		}
		if d := late(t.Context(), from("2001:db8:0:1::1"), "alice", "wrong"); d != time.Second {
			t.Errorf("another network: %v", d)
		}
		if d := late(t.Context(), at, "bob", "wrong"); d != time.Second {
			t.Errorf("another name: %v", d)
		}
		if d := late(t.Context(), at, "alice", "secret"); d != 0 {
			t.Errorf("the right password: %v", d)
		}
		if d := late(t.Context(), at, "alice", "wrong"); d != time.Second {
			t.Errorf("after the right password: %v", d)
		}
		late(t.Context(), at, "alice", "wrong")
		time.Sleep(time.Hour)
		if d := late(t.Context(), at, "alice", "wrong"); d != time.Second {
			t.Errorf("an hour later: %v", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if d := late(ctx, at, "alice", "wrong"); d != 0 {
			t.Errorf("a client that has gone holds up: %v", d)
		}
		a.EndDelays()
		if d := late(t.Context(), at, "alice", "wrong"); d != 0 {
			t.Errorf("a server that stops waits: %v", d)
		}
	})
}

// One who does not wait leaves the check to the others.
func TestImpatientClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := oneUser()
		s.delay = 5 * time.Second
		a := New(Options{Directory: s, Limits: Limits{Delay: -1}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := a.Authenticate(ctx, from("192.0.2.1"), Credentials{"alice", "secret"}); !rookery.Is(err, rookery.KindUnavailable) {
			t.Error(err)
		}
		if _, err := a.Authenticate(t.Context(), from("192.0.2.1"), Credentials{"alice", "secret"}); err != nil || s.count("bind") != 1 {
			t.Errorf("the check under way is not shared: %v, %d", err, s.count("bind"))
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	s := oneUser()
	a := New(Options{Directory: s, Limits: Limits{Delay: -1, Keys: 20, Network: Budget{1 << 30, time.Hour}}})
	for i := range 500 {
		s.people[fmt.Sprint("user", i)] = directory.Entry{Key: fmt.Sprint("y/", i)}
		at := from(fmt.Sprintf("10.0.%d.%d", i/250, i%250))
		a.Authenticate(t.Context(), at, Credentials{fmt.Sprint("user", i), "wrong"})
		a.Authenticate(t.Context(), at, Credentials{"alice", "secret"})
	}
	for what, n := range map[string]int{"verdicts": a.verdicts.Len(), "names": a.names.Len(), "known": a.known.Len(),
		"accounts": a.accounts.keys.Len(),
		"networks": a.networks.keys.Len(), "pairs": a.pairs.keys.Len(), "delays": a.delays.keys.Len()} {
		if n > 20 {
			t.Errorf("%d %s are remembered, want at most 20", n, what)
		}
	}
}
