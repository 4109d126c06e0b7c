package signin

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"rookery"
	"rookery/directory"
)

func TestNetwork(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "::ffff:192.0.2.1": "192.0.2.1/32", "2001:db8::1": "2001:db8::/64", "2001:db8:0:0:ffff::1": "2001:db8::/64",
		"2001:db8:0:1::1": "2001:db8:0:1::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := network(netip.AddrPortFrom(netip.MustParseAddr(in), 1)); got != want {
			t.Errorf("%s counts as %s, want %s", in, got, want)
		}
	}
	if got := network(netip.AddrPort{}); got != "unknown" {
		t.Errorf("no address counts as %s", got)
	}
}

func TestLedger(t *testing.T) {
	l := newLedger(Budget{3, time.Minute}, 10)
	now := time.Unix(1e9, 0)
	take := func(reserve int, want bool) {
		t.Helper()
		if got := l.take("k", reserve, now); got != want {
			t.Errorf("take with a reserve of %d: %v", reserve, got)
		}
	}
	take(1, true)
	take(1, true)
	take(1, false)
	take(0, true)
	take(0, false)
	l.giveBack("k", now)
	take(0, true)
	now = now.Add(59 * time.Second)
	take(0, false)
	now = now.Add(2 * time.Second)
	take(0, true)
	for range 10 {
		l.charge("k", now)
	}
	if !l.overdrawn("k", now.Add(59*time.Second)) || l.overdrawn("k", now.Add(time.Minute)) || l.overdrawn("other", now) {
		t.Error("a charge beyond the budget takes longer to forget, or none counts")
	}
	if now = now.Add(-time.Hour); !l.overdrawn("k", now) {
		t.Error("a clock set back opens the budget")
	}
}

// Many networks guess at one account for an hour, 48 times a second and by all
// its names. The directory is asked a bounded number of times, and who knows
// the password gets in: from where it has signed in before, and from elsewhere
// while the password is remembered.
func TestStrangersGuessAtAnAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := oneUser()
		a := New(Options{Directory: s, Limits: Limits{Delay: -1}})
		home := user{t, a, s, from("192.0.2.1"), "alice"}
		home.gets("secret", "", 1)
		began, right := time.Now(), 1
		for i := 0; time.Since(began) < time.Hour; i++ {
			at := from(fmt.Sprintf("2001:db8:0:%x::1", i%3000))
			login := []string{"alice", "ALICE", "alice@a.test"}[i%3]
			_, err := a.Authenticate(t.Context(), at, Credentials{login, fmt.Sprint("guess", i)})
			if !Failed(err) {
				t.Fatal(err)
			}
			time.Sleep(time.Second / 48)
			if i%(48*360) == 48*359 {
				travelling := user{t, a, s, from("198.51.100.7"), "alice"}
				home.gets("secret", "", 1) // longer ago than it is remembered
				travelling.gets("secret", "", 0)
				right++
			}
		}
		guessed, budget := s.count("bind")-right, Limits{}.withDefaults().Account
		if most := budget.Failures + int(time.Hour/budget.Every); guessed > most || guessed < most/2 {
			t.Errorf("an hour of guesses cost %d binds, want at most %d", guessed, most)
		}
		t.Logf("%d guesses reached the directory", guessed)
	})
}

// One network alone does not use up what an account has for strangers.
func TestOneNetworkLeavesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := oneUser()
		a := New(Options{Directory: s, Limits: Limits{Delay: -1}})
		for i := range 600 {
			a.Authenticate(t.Context(), from("203.0.113.9"), Credentials{"alice", fmt.Sprint("guess", i)})
			time.Sleep(time.Second)
		}
		if n := s.count("bind"); n > 6 {
			t.Errorf("%d binds", n)
		}
		owner := user{t, a, s, from("192.0.2.1"), "alice"} // never seen here
		owner.gets("secret", "", 1)
	})
}

// A network that tries one password on many accounts is stopped; whoever signs
// in from there as before is not.
func TestNetworkBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := oneUser()
		a := New(Options{Directory: s, Limits: Limits{Delay: -1}})
		owner := user{t, a, s, from("2001:db8::1"), "alice"}
		owner.gets("secret", "", 1)
		for i := range 1000 {
			login := fmt.Sprint("user", i)
			if i%2 == 0 {
				s.people[login] = directory.Entry{Key: "y/" + login}
			}
			a.Authenticate(t.Context(), from(fmt.Sprintf("2001:db8::%x", i)), Credentials{login, "Summer2026"})
		}
		if n := len(s.asked) - 1; n > 2*50 {
			t.Errorf("the directory was asked %d times", n)
		}
		stranger := user{t, a, s, from("2001:db8::2"), "bob"}
		s.people["bob"] = directory.Entry{Key: "x/2", Login: "bob"}
		stranger.gets("secret", "limit", 0)
		owner.gets("secret", "", 0)
		time.Sleep(10 * time.Minute)
		owner.gets("secret", "", 1)
		stranger.gets("secret", "", 1)
	})
}

// Who has overdrawn a budget learns nothing of the password: neither by the
// error nor by the time, and the directory is not asked.
func TestOverdrawnTellsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := oneUser()
		a := New(Options{Directory: s})
		owner := user{t, a, s, from("192.0.2.1"), "alice"}
		owner.gets("secret", "", 1) // remembered
		at := from("203.0.113.9")
		asked := len(s.asked)
		var texts []string
		for _, password := range []string{"guess", "secret", "guess"} {
			began := time.Now()
			for range 60 {
				a.networks.charge(network(at.Client), began)
			}
			_, err := a.Authenticate(t.Context(), at, Credentials{"alice", password})
			if !errors.Is(err, ErrOverdrawn) || !rookery.Is(err, rookery.KindLimit) {
				t.Fatalf("%s: %v", password, err)
			}
			texts = append(texts, fmt.Sprint(err, time.Since(began)))
		}
		if texts[0] != texts[1] || texts[1] != texts[2] || len(s.asked) != asked {
			t.Errorf("%q, and the directory was asked %d times", texts, len(s.asked)-asked)
		}
	})
}

// An outage of the directory uses up no budget.
func TestOutageCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := oneUser()
		a := New(Options{Directory: s, Limits: Limits{Delay: -1}})
		u := user{t, a, s, from("192.0.2.1"), "alice"}
		a.names.Add("alice", name{"x/1", time.Now().Add(time.Hour)})
		s.broken = unavailable()
		for i := range 100 {
			u.gets(fmt.Sprint("password", i), "unavailable", 1)
		}
		s.broken = nil
		u.gets("secret", "", 1)
	})
}
