package ldap

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"
)

// TestRefusedServicePasswordIsTriedOnce: two servers, look-ups and sign-ins all
// at once, and probes, cost one bind with a wrong password, which the error
// names. Directories lock accounts after a few.
func TestRefusedServicePasswordIsTriedOnce(t *testing.T) {
	w := startWindows(t)
	w.svcCode.Store(goldap.LDAPResultInvalidCredentials)
	c := w.config()
	c.URLs = append(c.URLs, strings.Replace(w.url, "127.0.0.1", "localhost", 1))
	d := openDirectory(t, c)
	var wg sync.WaitGroup
	for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); {
		for range 10 {
			wg.Go(func() {
				if _, err := d.Recipient(t.Context(), address(t, "alice@example.test")); kindOf(err) != "unavailable" {
					t.Errorf("a recipient: %v", err)
				}
				if _, err := d.Authenticate(t.Context(), "alice", "secret"); kindOf(err) != "unavailable" {
					t.Errorf("a sign-in: %v", err)
				}
			})
		}
		wg.Wait()
	}
	if n := w.svcBinds.Load(); n != 1 {
		t.Errorf("%d binds with a wrong service password", n)
	}
	if err := d.Health()[0].Err; err == nil || !strings.Contains(err.Error(), "cannot bind") || !d.Refused() {
		t.Errorf("its health says %v", err)
	}
}

// TestRefusedServicePasswordRests for longer each time, is tried by one node
// only, and by all again once it was accepted.
func TestRefusedServicePasswordRests(t *testing.T) {
	a := newServiceAccount()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var verdict error = goldap.NewError(goldap.LDAPResultInvalidCredentials, errors.New("no"))
	binds, elected := 0, false
	try := func(after time.Duration) int {
		now, binds = now.Add(after), 0
		for range 5 {
			a.bind(t.Context(), func() time.Time { return now }, func() bool { return elected }, func() error { binds++; return verdict })
		}
		return binds
	}
	for _, c := range []struct {
		after   time.Duration
		elected bool
		binds   int
	}{
		{0, false, 1}, {4 * time.Minute, true, 0}, {2 * time.Minute, false, 0}, {0, true, 1}, {9 * time.Minute, true, 0},
		{2 * time.Minute, true, 1},
		{time.Hour, true, 1}, {time.Hour, true, 1},
	} {
		if elected = c.elected; try(c.after) != c.binds {
			t.Errorf("after %v, elected %v: %d binds, want %d", c.after, c.elected, binds, c.binds)
		}
	}
	verdict = nil
	if try(time.Hour) != 5 {
		t.Errorf("%d binds of an accepted password", binds)
	}
	verdict = goldap.NewError(goldap.ErrorNetwork, errors.New("gone"))
	if try(0) != 5 {
		t.Errorf("%d binds while a server is away: that says nothing of the password", binds)
	}
}
