package tlspolicy_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"rookery"
	"rookery/protocols/dns"
	"rookery/protocols/outbound/destination"
	"rookery/protocols/outbound/session"
	"rookery/protocols/outbound/tlspolicy"
	"rookery/test/dnsserver"
)

// world is a DNS server, a policy server with a certificate for the names given,
// and a Finder between them with a clock that the test sets.
type world struct {
	dns    *dnsserver.Server
	finder *tlspolicy.Finder
	hosts  *destination.Finder
	cache  *tlspolicy.Memory
	asked  atomic.Int64

	required string // the domain that has to have verified TLS

	mu     sync.Mutex
	now    time.Time
	handle http.HandlerFunc
}

func (w *world) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// serve answers with a policy.
func (w *world) serve(lines ...string) {
	text := strings.Join(append([]string{"version: STSv1"}, lines...), "\r\n")
	w.answer(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprint(rw, text)
	})
}

func (w *world) answer(h http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handle = h
}

// record sets the TXT record of a policy.
func (w *world) record(t *testing.T, domain, text string) {
	t.Helper()
	w.dns.Remove("_mta-sts." + domain + ".")
	if text != "" {
		w.dns.Add(t, "_mta-sts."+domain+". 0 IN TXT \""+text+"\"")
	}
}

func newWorld(t *testing.T, private bool, names ...string) *world {
	w := &world{dns: dnsserver.Start(t), now: time.Now(), cache: tlspolicy.NewMemory()}
	cert, pool := certificate(t, names...)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.asked.Add(1)
		if r.URL.Path != "/.well-known/mta-sts.txt" {
			t.Errorf("asked for %s", r.URL)
		}
		w.mu.Lock()
		h := w.handle
		w.mu.Unlock()
		h(rw, r)
	}))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	srv.Config.ErrorLog = quiet()
	srv.StartTLS()
	t.Cleanup(srv.Close)
	for _, n := range names {
		w.dns.Add(t, n+". 300 IN A 127.0.0.1")
	}
	// What is asked again is asked of the server: the tests change their zones.
	r := dns.New(dns.Options{
		Servers: dns.Fixed(dns.Servers{Addrs: []netip.AddrPort{w.dns.Addr()}}), Attempts: 1, Timeout: time.Second,
		MaxTTL: 1, MaxNegativeTTL: 1, FailureTTL: 1,
	})
	t.Cleanup(func() { r.Close() })
	w.hosts = destination.New(r, func() destination.Self { return destination.Self{IPv4: true, IPv6: true, Private: true} })
	w.finder = tlspolicy.New(tlspolicy.Options{
		Resolver: r, Cache: w.cache, Roots: pool, Private: func() bool { return private },
		Required: func(domain string) bool { return domain == w.required }, Clock: w.Now,
		Port: netip.MustParseAddrPort(srv.Listener.Addr().String()).Port(),
	})
	return w
}

func certificate(t *testing.T, names ...string) (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: names, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// first is what the domain says and what its first host is owed.
func (w *world) first(t *testing.T, domain string) (tlspolicy.Policy, error) {
	t.Helper()
	d, err := w.hosts.Domain(t.Context(), domain)
	if err != nil {
		t.Fatal(err)
	}
	sts, err := w.finder.Domain(t.Context(), d)
	if err != nil {
		return tlspolicy.Policy{}, err
	}
	return w.finder.Host(t.Context(), d, sts, d.Hosts[0], 25)
}

const sum = "000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f"

func TestDANE(t *testing.T) {
	w := newWorld(t, true)
	w.dns.Add(t,
		"good.example. 300 IN MX 10 mx.good.example.", "mx.good.example. 300 IN A 192.0.2.1",
		"_25._tcp.mx.good.example. 300 IN TLSA 3 1 1 "+sum,
		"plainmx.example. 300 IN MX 10 mx.good.example.",
		"plainhost.example. 300 IN MX 10 mx.plain.example.", "mx.plain.example. 300 IN A 192.0.2.1",
		"_25._tcp.mx.plain.example. 300 IN TLSA 3 1 1 "+sum,
		"plaintlsa.example. 300 IN MX 10 mx.tlsa.example.", "mx.tlsa.example. 300 IN A 192.0.2.1",
		"_25._tcp.mx.tlsa.example. 300 IN TLSA 3 1 1 "+sum,
		"without.example. 300 IN MX 10 mx.without.example.", "mx.without.example. 300 IN A 192.0.2.1",
		"bogus.example. 300 IN MX 10 mx.bogus.example.", "mx.bogus.example. 300 IN A 192.0.2.1",
		"alias.example. 300 IN MX 10 mx.alias.example.", "mx.alias.example. 300 IN CNAME mx.good.example.",
		"alias2.example. 300 IN MX 10 mx.alias2.example.", "mx.alias2.example. 300 IN CNAME mx.without.example.",
		"_25._tcp.mx.alias2.example. 300 IN TLSA 3 1 1 "+sum,
		"alias3.example. 300 IN MX 10 mx.alias3.example.", "mx.alias3.example. 300 IN CNAME mx.plain.example.",
		"_25._tcp.mx.alias3.example. 300 IN TLSA 3 1 1 "+sum,
		"shared.example. 300 IN MX 10 mx.shared.example.", "mx.shared.example. 300 IN A 192.0.2.1",
		"_25._tcp.mx.shared.example. 300 IN CNAME _dane.shared.example.", "_dane.shared.example. 300 IN TLSA 2 0 1 "+sum,
		"implicit.example. 300 IN A 192.0.2.1", "_25._tcp.implicit.example. 300 IN TLSA 3 1 1 "+sum,
	)
	w.dns.Fail("_25._tcp.mx.bogus.example.", mdns.RcodeServerFailure)
	for _, n := range []string{
		"good", "mx.good", "_25._tcp.mx.good", "plainhost", "plaintlsa", "mx.tlsa", "without", "mx.without", "bogus", "mx.bogus",
		"alias", "mx.alias", "alias2", "mx.alias2", "_25._tcp.mx.alias2", "alias3", "mx.alias3", "_25._tcp.mx.alias3",
		"_25._tcp.mx.plain", "shared", "mx.shared", "_25._tcp.mx.shared", "_dane.shared", "implicit", "_25._tcp.implicit",
	} {
		w.dns.Secure(n + ".example.")
	}
	for domain, base := range map[string]string{
		"good.example": "mx.good.example", "shared.example": "mx.shared.example", "implicit.example": "implicit.example",
		// The records are at the end of the alias, at the alias where the end has
		// none, and at the alias where only that was validated.
		"alias.example": "mx.good.example", "alias2.example": "mx.alias2.example", "alias3.example": "mx.alias3.example",
		"plainmx.example": "", "plainhost.example": "", "plaintlsa.example": "", "without.example": "",
	} {
		p, err := w.first(t, domain)
		if err != nil {
			t.Errorf("%s: %v", domain, err)
			continue
		}
		if base == "" {
			if p.Source != tlspolicy.None || p.TLS.Mode != session.Opportunistic || p.Why == "" {
				t.Errorf("%s: %+v", domain, p)
			}
			continue
		}
		if p.Source != tlspolicy.DANE || p.TLS.Mode != session.DANE || p.TLS.Names[0] != base || len(p.TLS.TLSA) != 1 {
			t.Errorf("%s: %+v, want records at %s", domain, p, base)
		}
	}
	// A bogus answer is never "no DANE".
	if p, err := w.first(t, "bogus.example"); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("bogus: %+v, %v", p, err)
	}
	// Where the addresses are not validated, TLSA is not even asked for.
	if n := w.dns.Asked("_25._tcp.mx.plain.example.", "TLSA"); n != 0 {
		t.Errorf("TLSA of a host that is not validated was asked for %d times", n)
	}
	route, err := w.hosts.Host(t.Context(), "mx.good.example")
	if err != nil {
		t.Fatal(err)
	}
	if p, err := w.finder.Host(t.Context(), route, nil, route.Hosts[0], 25); err != nil || p.Source != tlspolicy.DANE {
		t.Errorf("route: %+v, %v", p, err)
	}
}

var zone = []string{
	"example.org. 300 IN MX 10 mx.example.org.", "mx.example.org. 300 IN A 192.0.2.1",
}

func TestEnforce(t *testing.T) {
	w := newWorld(t, true, "mta-sts.example.org")
	w.dns.Add(t, zone...)
	w.record(t, "example.org", "v=STSv1; id=1;")
	w.serve("mode: enforce", "mx: *.example.org", "max_age: 86400")
	p, err := w.first(t, "example.org")
	if err != nil || p.Source != tlspolicy.STSEnforce || p.TLS.Mode != session.Verified || p.TLS.Names[0] != "mx.example.org" || !p.Listed {
		t.Fatalf("%+v, %v", p, err)
	}
	// It is kept: neither the time nor an attacker who removes everything ends it.
	w.record(t, "example.org", "")
	w.answer(func(http.ResponseWriter, *http.Request) { t.Error("fetched once more") })
	w.advance(86399 * time.Second)
	if p, err := w.first(t, "example.org"); err != nil || p.Source != tlspolicy.STSEnforce {
		t.Errorf("%+v, %v", p, err)
	}
	w.advance(time.Second)
	if p, err := w.first(t, "example.org"); err != nil || p.Source != tlspolicy.None {
		t.Errorf("after max_age: %+v, %v", p, err)
	}
	// DANE goes before it.
	w.record(t, "example.org", "v=STSv1; id=2;")
	w.serve("mode: enforce", "mx: other.example.org", "max_age: 86400")
	if p, err := w.first(t, "example.org"); !errors.Is(err, tlspolicy.ErrNotListed) || !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("a host that the policy does not name: %+v, %v", p, err)
	}
	w.dns.Add(t, "_25._tcp.mx.example.org. 300 IN TLSA 3 1 1 "+sum)
	w.dns.Secure("example.org.", "mx.example.org.", "_25._tcp.mx.example.org.")
	if p, err := w.first(t, "example.org"); err != nil || p.Source != tlspolicy.DANE {
		t.Errorf("%+v, %v", p, err)
	}
}

// A policy that is tested, or says "none", keeps no mail back.
func TestTestingAndNone(t *testing.T) {
	w := newWorld(t, true, "mta-sts.example.org")
	w.dns.Add(t, zone...)
	w.record(t, "example.org", "v=STSv1; id=1;")
	for i, mx := range []string{"mx.example.org", "other.example.org"} {
		w.record(t, "example.org", fmt.Sprintf("v=STSv1; id=%d;", i+1))
		w.serve("mode: testing", "mx: "+mx, "max_age: 86400")
		p, err := w.first(t, "example.org")
		if err != nil || p.Source != tlspolicy.STSTesting || p.TLS.Mode != session.Opportunistic || p.Listed != (i == 0) {
			t.Errorf("%s: %+v, %v", mx, p, err)
		}
	}
	w.record(t, "example.org", "v=STSv1; id=3;")
	w.serve("mode: none", "max_age: 86400")
	for range 2 {
		if p, err := w.first(t, "example.org"); err != nil || p.Source != tlspolicy.None {
			t.Errorf("%+v, %v", p, err)
		}
	}
	if n := w.asked.Load(); n != 3 {
		t.Errorf("fetched %d times", n)
	}
}

// What cannot be fetched as it should leaves a domain without a policy, costs
// little, and is not tried again for a while.
func TestBadServers(t *testing.T) {
	good := "version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 86400\n"
	plain := func(text string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "text/plain")
			fmt.Fprint(rw, text)
		}
	}
	for name, h := range map[string]http.HandlerFunc{
		"404": http.NotFound,
		"redirect": func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, "/.well-known/mta-sts.txt", http.StatusFound)
		},
		"HTML": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "text/html")
			fmt.Fprint(rw, good)
		},
		"large":      plain(good + strings.Repeat("x: y\n", 20_000)),
		"endless":    func(rw http.ResponseWriter, _ *http.Request) { plain(strings.Repeat("x: y\n", 1<<20))(rw, nil) },
		"version":    plain(strings.Replace(good, "STSv1", "STSv2", 1)),
		"mode":       plain(strings.Replace(good, "enforce", "Enforce", 1)),
		"no mx":      plain(strings.Replace(good, "mx:", "xm:", 1)),
		"bad mx":     plain(strings.Replace(good, "mx.example", "*.*.example", 1)),
		"no max_age": plain(strings.Replace(good, "max_age", "min_age", 1)),
		"many mx":    plain(good + strings.Repeat("mx: a.example\n", 101)),
		"cut": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Length", "1000")
			plain(good)(rw, nil)
		},
		"hangs up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"large headers": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("X", strings.Repeat("x", 1<<20))
			plain(good)(rw, nil)
		},
	} {
		w := newWorld(t, true, "mta-sts.example.org")
		w.dns.Add(t, zone...)
		w.record(t, "example.org", "v=STSv1; id=1;")
		w.answer(h)
		for range 3 {
			if p, err := w.first(t, "example.org"); err != nil || p.Source != tlspolicy.None {
				t.Errorf("%s: %+v, %v", name, p, err)
			}
		}
		if n := w.asked.Load(); n != 1 {
			t.Errorf("%s: fetched %d times", name, n)
		}
		w.answer(plain(good))
		w.advance(5 * time.Minute)
		if p, err := w.first(t, "example.org"); err != nil || p.Source != tlspolicy.STSEnforce {
			t.Errorf("%s, then well: %+v, %v", name, p, err)
		}
		// Once there is a policy, a server that is bad again changes nothing.
		w.answer(h)
		w.record(t, "example.org", "v=STSv1; id=2;")
		if p, err := w.first(t, "example.org"); err != nil || p.Source != tlspolicy.STSEnforce {
			t.Errorf("%s, again: %+v, %v", name, p, err)
		}
	}
}

// A certificate for another name, and an address inside, are no policy server.
func TestWrongServers(t *testing.T) {
	for _, c := range []struct {
		private bool
		name    string
		source  tlspolicy.Source
	}{
		{true, "mta-sts.example.org", tlspolicy.STSEnforce},
		{true, "mta-sts.example.com", tlspolicy.None},
		{false, "mta-sts.example.org", tlspolicy.None},
	} {
		w := newWorld(t, c.private, c.name)
		w.dns.Add(t, zone...)
		if c.name != "mta-sts.example.org" {
			w.dns.Add(t, "mta-sts.example.org. 300 IN A 127.0.0.1")
		}
		w.record(t, "example.org", "v=STSv1; id=1;")
		w.serve("mode: enforce", "mx: mx.example.org", "max_age: 86400")
		p, err := w.first(t, "example.org")
		if err != nil || p.Source != c.source || (w.asked.Load() > 0) != (c.source != tlspolicy.None) {
			t.Errorf("%s, private %v: %+v, %v, asked %d times", c.name, c.private, p, err, w.asked.Load())
		}
	}
}

func TestRecords(t *testing.T) {
	for text, want := range map[string]tlspolicy.Source{
		"v=STSv1; id=20160831085700Z;": tlspolicy.STSEnforce, "v=STSv1;id=a": tlspolicy.STSEnforce, "v=STSv1 ; x=y; id=a ;": tlspolicy.STSEnforce,
		"v=STSv1;": tlspolicy.None, "v=STSv2; id=1": tlspolicy.None, "v=STSv1; id=a-b": tlspolicy.None,
		"v=STSv1; id=123456789012345678901234567890123": tlspolicy.None, "id=1; v=STSv1": tlspolicy.None, "": tlspolicy.None,
	} {
		w := newWorld(t, true, "mta-sts.example.org")
		w.dns.Add(t, zone...)
		w.record(t, "example.org", text)
		w.serve("mode: enforce", "mx: mx.example.org", "max_age: 86400")
		if p, err := w.first(t, "example.org"); err != nil || p.Source != want {
			t.Errorf("%q: %+v, %v", text, p, err)
		}
	}
	w := newWorld(t, true, "mta-sts.example.org")
	w.dns.Add(t, zone...)
	for i := range 250 {
		w.dns.Add(t, fmt.Sprintf(`_mta-sts.example.org. 0 IN TXT "%d %s"`, i, strings.Repeat("x", 200)))
	}
	if p, err := w.first(t, "example.org"); err != nil || p.Source != tlspolicy.None {
		t.Errorf("giant TXT: %+v, %v", p, err)
	}
	w.dns.Remove("_mta-sts.example.org.")
	w.dns.Add(t, `_mta-sts.example.org. 0 IN TXT "v=STSv1; id=1"`, `_mta-sts.example.org. 0 IN TXT "v=STSv1; id=2"`)
	if p, err := w.first(t, "example.org"); err != nil || p.Source != tlspolicy.None {
		t.Errorf("two records: %+v, %v", p, err)
	}
}

// Many who ask at once have it fetched once, and one who goes away spoils it for
// nobody.
func TestFetchedOnce(t *testing.T) {
	w := newWorld(t, true, "mta-sts.example.org")
	w.dns.Add(t, zone...)
	w.record(t, "example.org", "v=STSv1; id=1;")
	d, err := w.hosts.Domain(t.Context(), "example.org")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w.answer(func(rw http.ResponseWriter, _ *http.Request) {
		cancel()
		rw.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(rw, "version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 86400\n")
	})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if p, err := w.finder.Domain(ctx, d); p == nil && err == nil {
				t.Errorf("%v, %v", p, err)
			}
		})
	}
	all.Wait()
	if p, err := w.finder.Domain(t.Context(), d); err != nil || p == nil || w.asked.Load() != 1 {
		t.Errorf("%v, %v, asked %d times", p, err, w.asked.Load())
	}
}

// broken is a cache that is away.
type broken struct{ tlspolicy.Memory }

func (*broken) Get(context.Context, string) (tlspolicy.STS, bool, error) {
	return tlspolicy.STS{}, false, errors.New("no quorum")
}

// A cache that does not answer may hold a policy that forbids to send.
func TestCacheAway(t *testing.T) {
	f := tlspolicy.New(tlspolicy.Options{Cache: &broken{}})
	if p, err := f.Domain(t.Context(), destination.Destination{Domain: "example.org"}); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("%v, %v", p, err)
	}
	for _, d := range []destination.Destination{{Domain: "[192.0.2.1]"}, {Domain: "relay.example", Route: true}} {
		if p, err := f.Domain(t.Context(), d); err != nil || p != nil {
			t.Errorf("%v: %v, %v", d, p, err)
		}
	}
}
