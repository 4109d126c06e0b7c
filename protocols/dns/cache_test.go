package dns_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"rookery"
	"rookery/protocols/dns"
	"rookery/test/dnsserver"
)

func TestCache(t *testing.T) {
	c := &clock{now: time.Unix(1e9, 0)}
	s, r := started(t, dns.Options{Clock: c.Now, MaxTTL: time.Hour})
	s.Add(t,
		"short.example. 30 IN A 192.0.2.1", "long.example. 999999 IN A 192.0.2.1", "zero.example. 0 IN A 192.0.2.1",
		"huge.example. 4294967295 IN A 192.0.2.1",
		"alias.example. 10 IN CNAME long.example.",
	)
	s.Fail("broken.example.", mdns.RcodeServerFailure)
	s.Handle("bare.example.", func(w mdns.ResponseWriter, req *mdns.Msg) {
		w.WriteMsg(new(mdns.Msg).SetRcode(req, mdns.RcodeNameError)) // without SOA
	})
	// How long each outcome is kept; the SOA of the test server says 60 s.
	for name, keeps := range map[string]time.Duration{
		"short.example": 30 * time.Second, "long.example": time.Hour, "zero.example": 0, "huge.example": 0,
		"alias.example": 10 * time.Second, "none.example": time.Minute, "bare.example": 0,
		"broken.example": 5 * time.Second,
	} {
		asked := func() int { return s.Asked(name+".", "A") }
		_, first := r.A(t.Context(), name)
		if keeps > 0 {
			c.advance(keeps - time.Nanosecond)
			if _, err := r.A(t.Context(), name); asked() != 1 || fmt.Sprint(err) != fmt.Sprint(first) {
				t.Errorf("%s: asked %d times before its time was over: %v, first %v", name, asked(), err, first)
			}
			c.advance(time.Nanosecond)
		}
		if _, _ = r.A(t.Context(), name); asked() != 2 {
			t.Errorf("%s: asked %d times after its time was over", name, asked())
		}
	}
	if st := r.Stats(); st.Hits != 5 || st.Failures != 2 {
		t.Errorf("counted %+v", st)
	}
}

// What was an error is asked for again, and what was not there appears.
func TestNegativeEnds(t *testing.T) {
	c := &clock{now: time.Unix(1e9, 0)}
	s, r := started(t, dns.Options{Clock: c.Now})
	if _, err := r.A(t.Context(), "new.example"); !errors.Is(err, dns.ErrNoName) {
		t.Fatal(err)
	}
	s.Add(t, "new.example. 300 IN A 192.0.2.1")
	c.advance(time.Minute)
	if _, err := r.A(t.Context(), "new.example"); err != nil {
		t.Error(err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	s, r := started(t, dns.Options{CacheBytes: 64 << 10})
	text := strings.Repeat(`"`+strings.Repeat("x", 200)+`" `, 50)
	for i := range 20 {
		name := fmt.Sprintf("n%d.example.", i)
		s.Add(t, name+" 300 IN TXT "+text)
		if _, err := r.TXT(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if st := r.Stats(); st.Bytes > 64<<10 || st.Cached < 4 {
		t.Errorf("%+v", st)
	}
	before := s.Asked("n19.example.", "TXT")
	if _, err := r.TXT(t.Context(), "n19.example"); err != nil || s.Asked("n19.example.", "TXT") != before {
		t.Errorf("the newest was dropped: %v", err)
	}
}

func TestEqualQuestionsAskOnce(t *testing.T) {
	s, r := started(t, dns.Options{})
	s.Add(t, "one.example. 0 IN A 192.0.2.1")
	const callers = 50
	s.Handle("one.example.", func(w mdns.ResponseWriter, req *mdns.Msg) {
		// All callers wait for this one answer.
		for r.Stats().Questions < callers {
		}
		w.WriteMsg(s.Answer(req))
	})
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			if _, err := r.A(t.Context(), "one.example"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	// A caller that counted itself may join after the answer has left.
	if n := s.Asked("one.example.", "A"); n > 2 {
		t.Errorf("asked %d times for %d callers", n, callers)
	}
}

func TestBudget(t *testing.T) {
	s, r := started(t, dns.Options{})
	for i := range 4 {
		s.Add(t, fmt.Sprintf("n%d.example. 300 IN A 192.0.2.1", i))
	}
	ctx := dns.WithBudget(t.Context(), 2)
	for i := range 2 {
		for range 3 { // the cached ones are free
			if _, err := r.A(ctx, fmt.Sprintf("n%d.example", i)); err != nil {
				t.Error(err)
			}
		}
	}
	_, err := r.A(ctx, "n2.example")
	wantKind(t, err, rookery.KindLimit)
	if _, err := r.A(ctx, "n0.example"); err != nil {
		t.Error(err)
	}
	if _, err := r.A(t.Context(), "n3.example"); err != nil {
		t.Error(err)
	}
}

// The AD bit counts where it cannot be forged on the way, and for the whole
// chain.
func TestSecure(t *testing.T) {
	s, r := started(t, dns.Options{})
	s.Add(t,
		"signed.example. 300 IN A 192.0.2.1", "plain.example. 300 IN A 192.0.2.1",
		"to-plain.example. 300 IN CNAME plain.example.", "to-signed.example. 300 IN CNAME signed.example.",
		"from-plain.example. 300 IN CNAME signed.example.",
	)
	s.Secure("signed.example.", "to-plain.example.", "to-signed.example.")
	for _, leave := range []bool{false, true} {
		if leave {
			s.LeaveChains()
			r = resolver(t, dns.Options{}, s.Addr())
		}
		for name, want := range map[string]bool{
			"signed.example": true, "plain.example": false, "to-signed.example": true, "to-plain.example": false,
			"from-plain.example": false,
		} {
			if a, err := r.A(t.Context(), name); err != nil || a.Secure != want {
				t.Errorf("%s is secure: %v, %v (chains left: %v)", name, a.Secure, err, leave)
			}
		}
	}
}

// A bogus answer is a failure of the validating server. Another that is believed
// may be asked, one that is not believed never.
func TestBogusIsNotAskedElsewhere(t *testing.T) {
	validating, other := dnsserver.Start(t), dnsserver.Start(t)
	validating.Fail("bogus.example.", mdns.RcodeServerFailure)
	other.Add(t, "bogus.example. 300 IN A 192.0.2.66")
	// Both are on loopback, so both are believed.
	r := resolver(t, dns.Options{}, validating.Addr(), other.Addr())
	if _, err := r.A(t.Context(), "bogus.example"); err != nil {
		t.Error(err)
	}
	// An address of this machine that is not loopback stands for a server far away.
	far := outside(t)
	elsewhere := dnsserver.StartAt(t, far)
	elsewhere.Add(t, "bogus.example. 300 IN A 192.0.2.66", "fine.example. 300 IN A 192.0.2.1")
	elsewhere.Secure("fine.example.")
	validating.Add(t, "fine.example. 300 IN A 192.0.2.1")
	r = resolver(t, dns.Options{}, validating.Addr(), elsewhere.Addr())
	_, err := r.A(t.Context(), "bogus.example")
	wantKind(t, err, rookery.KindUnavailable)
	if n := elsewhere.Asked("bogus.example.", "A"); n != 0 {
		t.Errorf("the server that does not validate was asked %d times", n)
	}
	asked := dns.Servers{Addrs: []netip.AddrPort{elsewhere.Addr()}}
	r = resolver(t, dns.Options{Servers: func() (dns.Servers, error) { return asked, nil }})
	for _, trusted := range [][]netip.Addr{nil, {netip.MustParseAddr("192.0.2.1")}, {far}} {
		asked.Trusted = trusted
		r.Forget()
		if a, err := r.A(t.Context(), "fine.example"); err != nil || a.Secure != (trusted != nil && trusted[0] == far) {
			t.Errorf("trusted %v: secure %v, %v", trusted, a.Secure, err)
		}
	}
}

// After Forget nobody gets what another server said, neither what was kept nor
// what was on its way.
func TestForget(t *testing.T) {
	old, young := dnsserver.Start(t), dnsserver.Start(t)
	old.Add(t, "kept.example. 300 IN A 192.0.2.1", "late.example. 300 IN A 192.0.2.1")
	young.Add(t, "kept.example. 300 IN A 192.0.2.2", "late.example. 300 IN A 192.0.2.2")
	asked, answer := make(chan struct{}), make(chan struct{})
	old.Handle("late.example.", func(w mdns.ResponseWriter, req *mdns.Msg) {
		close(asked)
		<-answer
		w.WriteMsg(old.Answer(req))
	})
	var now atomic.Pointer[dnsserver.Server]
	now.Store(old)
	r := resolver(t, dns.Options{Servers: func() (dns.Servers, error) {
		return dns.Servers{Addrs: []netip.AddrPort{now.Load().Addr()}}, nil
	}})
	is := func(name, want string) {
		t.Helper()
		if a, err := r.A(t.Context(), name); err != nil || len(a.Records) != 1 || a.Records[0].String() != want {
			t.Errorf("%s: %+v, %v, want %s", name, a, err, want)
		}
	}
	is("kept.example", "192.0.2.1")
	var waits sync.WaitGroup
	waits.Go(func() { is("late.example", "192.0.2.1") })
	<-asked
	now.Store(young)
	is("kept.example", "192.0.2.1")
	r.Forget()
	is("kept.example", "192.0.2.2")
	is("late.example", "192.0.2.2")
	close(answer)
	waits.Wait()
	is("late.example", "192.0.2.2")
}

// outside is an address of this machine that is not loopback.
func outside(t *testing.T) netip.Addr {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() {
			return p.Addr()
		}
	}
	t.Skip("this machine has no address but loopback")
	return netip.Addr{}
}
