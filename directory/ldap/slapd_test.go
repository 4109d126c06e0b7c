package ldap

import (
	"context"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rookery"
	"rookery/directory"
)

func TestSlapd(t *testing.T) {
	s := startSlapd(t, 700)
	t.Run("people", func(t *testing.T) {
		for name, change := range map[string]func(*Config){
			"plain":    func(*Config) {},
			"StartTLS": func(c *Config) { c.StartTLS, c.CAFile = true, s.ca() },
			"LDAPS":    func(c *Config) { c.URLs, c.CAFile = []string{s.tlsURL()}, s.ca() },
		} {
			t.Run(name, func(t *testing.T) {
				c := s.config()
				change(&c)
				d := openDirectory(t, c)
				expectPeople(t, d)
				if d.Profile() != "openldap" {
					t.Errorf("profile %q", d.Profile())
				}
			})
		}
	})
	t.Run("states", func(t *testing.T) { slapdStates(t, openDirectory(t, s.config())) })
	t.Run("listing", func(t *testing.T) {
		d := openDirectory(t, s.config())
		n := 0
		if err := d.Walk(t.Context(), func(directory.Entry) error { n++; return nil }); err != nil || n != 706 {
			t.Errorf("%d people, %v", n, err)
		}
	})
	t.Run("following", func(t *testing.T) { following(t, s.config(), "cn=admin,dc=example,dc=test", "adminpw") })
	t.Run("frozen", func(t *testing.T) { slapdFrozen(t, s) })
	t.Run("failover", func(t *testing.T) { slapdFailover(t, s) })
	t.Run("killed", func(t *testing.T) { slapdKilled(t, s) }) // last: it ends the server
}

func slapdStates(t *testing.T, d *Directory) {
	for _, c := range []struct{ login, password, kind string }{
		{"carol", "secret", "disabled"},    // must change
		{"carol", "wrong!", "credentials"}, // and nobody learns it without the password
		{"dave", "secret", "disabled"},     // locked
		{"bob", "secret", "disabled"},      // accountStatus, which slapd does not know
		{"erin", "secret", "ok"},
	} {
		if _, err := d.Authenticate(t.Context(), c.login, c.password); kindOf(err) != c.kind {
			t.Errorf("%s: %v, want %s", c.login, err, c.kind)
		}
	}
	if _, err := d.Authenticate(t.Context(), "carol", "secret"); directory.Told(err) != directory.CauseExpired {
		t.Errorf("carol must change her password: %v", err)
	}
	e, err := d.Recipient(t.Context(), address(t, "erin@example.test"))
	if err != nil || len(e.Forward) != 1 || e.Forward[0].String() != "erin@elsewhere.test" || !e.ForwardOnly {
		t.Errorf("erin forwards: %+v %v", e, err)
	}
	if e, err := d.Recipient(t.Context(), address(t, "dave@example.test")); err != nil || !e.Disabled {
		t.Errorf("locked dave receives: %+v %v", e, err)
	}
	for i := range 7 { // the policy locks after five
		_, err := d.Authenticate(t.Context(), "u0001", "wrong!")
		if k := rookery.KindOf(err); k != rookery.KindCredentials && k != rookery.KindDisabled {
			t.Errorf("wrong password %d: %v", i, err)
		}
	}
	if _, err := d.Authenticate(t.Context(), "u0001", "secret"); !rookery.Is(err, rookery.KindDisabled) {
		t.Errorf("locked out: %v", err)
	}
}

// A frozen server accepts connections and says nothing.
func slapdFrozen(t *testing.T, s *slapd) {
	d := openDirectory(t, impatient(s.config()))
	expectPeople(t, d)
	s.signal(syscall.SIGSTOP)
	defer s.signal(syscall.SIGCONT)
	var wg sync.WaitGroup
	var slow atomic.Int32
	for i := range 40 {
		wg.Go(func() {
			start := time.Now()
			var err error
			switch i % 3 {
			case 0:
				_, err = d.Authenticate(t.Context(), "alice", "secret")
			case 1:
				_, err = d.Authenticate(t.Context(), "alice", "wrong!")
			default:
				_, err = d.Recipient(t.Context(), address(t, "alice@example.test"))
			}
			if !rookery.Is(err, rookery.KindUnavailable) {
				t.Errorf("call %d: %v", i, err)
			}
			if time.Since(start) > time.Minute {
				slow.Add(1)
			}
		})
	}
	wg.Wait()
	if slow.Load() > 0 {
		t.Errorf("%d calls took too long", slow.Load())
	}
	if took := fastest(5, func() {
		if _, err := d.Authenticate(t.Context(), "alice", "secret"); !rookery.Is(err, rookery.KindUnavailable) {
			t.Errorf("once known as down: %v", err)
		}
	}); took >= d.cfg.OperationTimeout {
		t.Errorf("once known as down it is waited for, %v at least", took)
	}
	s.signal(syscall.SIGCONT)
	eventually(t, "it recovers", func() bool {
		_, err := d.Authenticate(t.Context(), "alice", "secret")
		if k := kindOf(err); k != "ok" && k != "unavailable" {
			t.Errorf("while it recovers: %v", err)
		}
		return err == nil
	})
	expectPeople(t, d)
}

// fastest is how long fn takes at best, which a busy machine hardly changes.
func fastest(n int, fn func()) time.Duration {
	best := time.Hour
	for range n {
		start := time.Now()
		fn()
		best = min(best, time.Since(start))
	}
	return best
}

func slapdFailover(t *testing.T, s *slapd) {
	second := startSlapd(t, 5)
	c := impatient(s.config())
	c.URLs = append(c.URLs, second.url())
	d := openDirectory(t, c)
	eventually(t, "both servers are up", func() bool { h := d.Health(); return h[0].Up && h[1].Up })
	expectPeople(t, d)
	s.signal(syscall.SIGSTOP)
	defer s.signal(syscall.SIGCONT)
	for range 3 {
		if _, err := d.Authenticate(t.Context(), "alice", "secret"); err != nil {
			t.Errorf("the second server answers: %v", err)
		}
		if _, err := d.Authenticate(t.Context(), "alice", "wrong!"); !rookery.Is(err, rookery.KindCredentials) {
			t.Errorf("the second server knows wrong passwords: %v", err)
		}
		if _, err := d.Authenticate(t.Context(), "alice", "secret"); err != nil {
			t.Error(err) // resets the policy's count
		}
	}
	if took := fastest(100, func() {
		if _, err := d.Recipient(t.Context(), address(t, "alice@example.test")); err != nil {
			t.Fatal(err)
		}
	}); took >= c.OperationTimeout {
		t.Errorf("the frozen first server slows every call, by %v at least", took)
	}
	s.signal(syscall.SIGCONT)
	eventually(t, "the first server is back", func() bool { return d.Health()[0].Up })
}

func slapdKilled(t *testing.T, s *slapd) {
	d := openDirectory(t, impatient(s.config()))
	expectPeople(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var wrong atomic.Value
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				_, err := d.Authenticate(ctx, "alice", "secret")
				if k := kindOf(err); k != "ok" && k != "unavailable" {
					wrong.Store(err)
				}
				_, err = d.Recipient(ctx, address(t, "frank@example.test"))
				if k := kindOf(err); k != "ok" && k != "unavailable" {
					wrong.Store(err)
				}
			}
		})
	}
	s.signal(syscall.SIGKILL)
	eventually(t, "its death is noticed", func() bool { return !d.Health()[0].Up })
	if out, err := s.script("resume", s.dir); err != nil {
		t.Fatal(out)
	}
	eventually(t, "it comes back", func() bool {
		_, err := d.Recipient(ctx, address(t, "alice@example.test"))
		return err == nil
	})
	cancel()
	wg.Wait()
	if err := wrong.Load(); err != nil {
		t.Errorf("a killed server was taken for a refusal: %v", err)
	}
}
