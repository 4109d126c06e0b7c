package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	mdns "github.com/miekg/dns"

	"rookery"
	"rookery/protocols/dns"
	"rookery/test/dnsserver"
)

// clock is one that the test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func resolver(t testing.TB, o dns.Options, servers ...netip.AddrPort) *dns.Resolver {
	if len(servers) > 0 {
		o.Servers = dns.Fixed(dns.Servers{Addrs: servers})
	}
	r := dns.New(o)
	t.Cleanup(func() { r.Close() })
	return r
}

func started(t *testing.T, o dns.Options) (*dnsserver.Server, *dns.Resolver) {
	s := dnsserver.Start(t)
	return s, resolver(t, o, s.Addr())
}

func wantKind(t *testing.T, err error, kind rookery.Kind) {
	t.Helper()
	if !rookery.Is(err, kind) {
		t.Errorf("the error is %v (%v), want %v", err, rookery.KindOf(err), kind)
	}
}

func TestRecords(t *testing.T) {
	s, r := started(t, dns.Options{})
	s.Add(t,
		"example.org. 300 IN MX 20 mx2.example.org.",
		"example.org. 300 IN MX 10 MX1.Example.org.",
		"example.org. 300 IN MX 5 .",
		`example.org. 300 IN MX 30 m\195\188ller.example.org.`,
		`example.org. 300 IN TXT "v=spf1 " "-all" "a\"\\\200"`,
		"mx1.example.org. 300 IN A 192.0.2.1",
		"mx1.example.org. 300 IN AAAA 2001:db8::1",
		"www.example.org. 300 IN CNAME mx1.example.org.",
		"_25._tcp.mx1.example.org. 300 IN TLSA 3 1 1 0102ff",
		"1.2.0.192.in-addr.arpa. 300 IN PTR mx1.example.org.",
		"xn--bcher-kva.example. 300 IN A 192.0.2.7",
	)
	ctx := t.Context()
	check := func(name string, got any, err error, want any) {
		t.Helper()
		if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); err != nil || d != "" {
			t.Errorf("%s: %v, (-want +got)\n%s", name, err, d)
		}
	}
	mx, err := r.MX(ctx, "Example.ORG.")
	check("MX", mx, err, dns.Answer[dns.MX]{Name: "example.org", Records: []dns.MX{
		{10, "mx1.example.org"}, {20, "mx2.example.org"}, {30, "xn--mller-kva.example.org"},
	}})
	txt, err := r.TXT(ctx, "example.org")
	check("TXT", txt.Records, err, []string{"v=spf1 -alla\"\\\xc8"})
	a, err := r.A(ctx, "www.example.org")
	check("A", a, err, dns.Answer[netip.Addr]{Name: "mx1.example.org", Records: []netip.Addr{netip.MustParseAddr("192.0.2.1")}})
	aaaa, err := r.AAAA(ctx, "mx1.example.org")
	check("AAAA", aaaa.Records, err, []netip.Addr{netip.MustParseAddr("2001:db8::1")})
	tlsa, err := r.TLSA(ctx, "mx1.example.org", 25)
	check("TLSA", tlsa.Records, err, []dns.TLSA{{3, 1, 1, []byte{1, 2, 255}}})
	ptr, err := r.PTR(ctx, netip.MustParseAddr("::ffff:192.0.2.1"))
	check("PTR", ptr.Records, err, []string{"mx1.example.org"})
	cname, err := r.CNAME(ctx, "www.example.org")
	check("CNAME", cname.Records, err, []string{"mx1.example.org"})
	idn, err := r.A(ctx, "Bücher.example")
	check("a U-label", idn.Records, err, []netip.Addr{netip.MustParseAddr("192.0.2.7")})
}

func TestNullMX(t *testing.T) {
	s, r := started(t, dns.Options{})
	s.Add(t, "nomail.example. 300 IN MX 0 .")
	_, err := r.MX(t.Context(), "nomail.example")
	wantKind(t, err, rookery.KindDenied)
	if !errors.Is(err, dns.ErrNullMX) {
		t.Errorf("the error is %v", err)
	}
}

// There is no third answer between "there is none" and "nobody knows" (G7).
func TestFailureIsNeverNotFound(t *testing.T) {
	s, r := started(t, dns.Options{Timeout: 50 * time.Millisecond, Attempts: 2})
	s.Add(t, "there.example. 300 IN A 192.0.2.1", "below.ent.example. 300 IN A 192.0.2.1")
	for name, rcode := range map[string]int{
		"servfail": mdns.RcodeServerFailure, "refused": mdns.RcodeRefused, "notimp": mdns.RcodeNotImplemented,
		"formerr": mdns.RcodeFormatError, "yxdomain": mdns.RcodeYXDomain, "odd": 13,
	} {
		s.Fail(name+".example.", rcode)
	}
	s.Handle("silent.example.", func(mdns.ResponseWriter, *mdns.Msg) {})
	s.Handle("garbage.example.", func(w mdns.ResponseWriter, _ *mdns.Msg) { w.Write([]byte("no DNS")) })
	s.Handle("referral.example.", func(w mdns.ResponseWriter, req *mdns.Msg) {
		m := new(mdns.Msg).SetReply(req)
		ns, _ := mdns.NewRR("example. 300 IN NS ns.example.")
		m.Ns = []mdns.RR{ns}
		w.WriteMsg(m)
	})
	s.Handle("foreign.example.", func(w mdns.ResponseWriter, req *mdns.Msg) {
		m := new(mdns.Msg).SetRcode(req, mdns.RcodeNameError)
		m.Question[0].Name = "other.example."
		w.WriteMsg(m)
	})
	for _, c := range []struct {
		name string
		kind rookery.Kind
		is   error
	}{
		{"nowhere.example", rookery.KindNotFound, dns.ErrNoName},
		{"there.example", rookery.KindNotFound, dns.ErrNoData},
		{"ent.example", rookery.KindNotFound, dns.ErrNoData},
		{"servfail.example", rookery.KindUnavailable, nil},
		{"refused.example", rookery.KindUnavailable, nil},
		{"notimp.example", rookery.KindUnavailable, nil},
		{"formerr.example", rookery.KindUnavailable, nil},
		{"yxdomain.example", rookery.KindUnavailable, nil},
		{"odd.example", rookery.KindUnavailable, nil},
		{"silent.example", rookery.KindUnavailable, nil},
		{"garbage.example", rookery.KindUnavailable, nil},
		{"referral.example", rookery.KindUnavailable, nil},
		{"foreign.example", rookery.KindUnavailable, nil},
		{"", rookery.KindInvalid, nil},
		{"a..example", rookery.KindInvalid, nil},
		{"[192.0.2.1]", rookery.KindInvalid, nil},
		{strings.Repeat("a", 64) + ".example", rookery.KindInvalid, nil},
		{strings.Repeat("abcdefg.", 40) + "example", rookery.KindInvalid, nil},
	} {
		_, err := r.MX(t.Context(), c.name)
		wantKind(t, err, c.kind)
		if c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v, want %v", c.name, err, c.is)
		}
	}
}

func TestNoServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	for name, o := range map[string]dns.Options{
		"dead":    {Servers: dns.Fixed(dns.Servers{Addrs: []netip.AddrPort{dead}})},
		"none":    {Servers: dns.Fixed(dns.Servers{})},
		"no file": {Servers: dns.ResolvConf(filepath.Join(t.TempDir(), "resolv.conf"))},
	} {
		_, err := resolver(t, o).A(t.Context(), "example.org")
		if !rookery.Is(err, rookery.KindUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestResolvConf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	text := "search example.org\nnameserver 192.0.2.53\nnameserver nonsense\nnameserver 2001:db8::53\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := dns.ResolvConf(path)()
	want := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53"), netip.MustParseAddrPort("[2001:db8::53]:53")}
	if err != nil || len(s.Addrs) != 2 || s.Addrs[0] != want[0] || s.Addrs[1] != want[1] || s.Trusted != nil {
		t.Errorf("read %v, %v", s, err)
	}
}

// A dead server costs its time-out once: after that the living one is first.
func TestDeadServerBeside(t *testing.T) {
	dead, alive := dnsserver.Start(t), dnsserver.Start(t)
	for i := range 3 {
		alive.Add(t, fmt.Sprintf("n%d.example. 300 IN A 192.0.2.1", i))
		dead.Handle(fmt.Sprintf("n%d.example.", i), func(mdns.ResponseWriter, *mdns.Msg) {})
	}
	r := resolver(t, dns.Options{Timeout: 200 * time.Millisecond}, dead.Addr(), alive.Addr())
	for i := range 3 {
		if _, err := r.A(t.Context(), fmt.Sprintf("n%d.example", i)); err != nil {
			t.Error(err)
		}
	}
	if n := dead.Asked("n1.example.", "A") + dead.Asked("n2.example.", "A"); n != 0 {
		t.Errorf("the dead server was asked %d more times", n)
	}
}

func TestTruncation(t *testing.T) {
	s, r := started(t, dns.Options{})
	// Nearly 64 KiB, the most that an answer can hold.
	var long []string
	for i := range 63 {
		parts := make([]string, 4)
		for j := range parts {
			parts[j] = `"` + strings.Repeat(string(rune('a'+i%26)), 250) + `"`
		}
		long = append(long, fmt.Sprintf("big.example. 300 IN TXT %s \"%d\"", strings.Join(parts, " "), i))
	}
	s.Add(t, long...)
	a, err := r.TXT(t.Context(), "big.example")
	if err != nil || len(a.Records) != 63 || len(a.Records[62]) != 1002 {
		t.Fatalf("%d records: %v", len(a.Records), err)
	}
	if st := r.Stats(); st.TCP != 1 || st.Exchanges != 2 {
		t.Errorf("counted %+v", st)
	}
}

// What is truncated over TCP too is no answer.
func TestTruncatedTwice(t *testing.T) {
	s, r := started(t, dns.Options{})
	s.Handle("cut.example.", func(w mdns.ResponseWriter, req *mdns.Msg) {
		m := new(mdns.Msg).SetReply(req)
		m.Truncated = true
		w.WriteMsg(m)
	})
	_, err := r.A(t.Context(), "cut.example")
	wantKind(t, err, rookery.KindUnavailable)
}

// A server that knows no EDNS is asked without it (RFC 6891 7).
func TestNoEDNS(t *testing.T) {
	s, r := started(t, dns.Options{})
	s.Add(t, "old.example. 300 IN A 192.0.2.1")
	s.Handle("old.example.", func(w mdns.ResponseWriter, req *mdns.Msg) {
		if req.IsEdns0() != nil {
			w.WriteMsg(new(mdns.Msg).SetRcode(req, mdns.RcodeFormatError))
			return
		}
		w.WriteMsg(s.Answer(req))
	})
	if _, err := r.A(t.Context(), "old.example"); err != nil {
		t.Error(err)
	}
}

func TestManyRecords(t *testing.T) {
	s, r := started(t, dns.Options{})
	for i := range 2000 {
		s.Add(t, fmt.Sprintf("many.example. 300 IN A 192.0.%d.%d", i/256, i%256))
	}
	a, err := r.A(t.Context(), "many.example")
	if err != nil || len(a.Records) != 256 {
		t.Errorf("%d records, %v", len(a.Records), err)
	}
}

func TestChains(t *testing.T) {
	for _, leave := range []bool{false, true} {
		s, r := started(t, dns.Options{})
		if leave {
			s.LeaveChains()
		}
		s.Add(t,
			"loop1.example. 300 IN CNAME loop2.example.", "loop2.example. 300 IN CNAME loop1.example.",
			"self.example. 300 IN CNAME self.example.",
			"dangling.example. 300 IN CNAME gone.example.",
			"nodata.example. 300 IN CNAME there.example.", "there.example. 300 IN A 192.0.2.1",
		)
		for i := range 12 {
			s.Add(t, fmt.Sprintf("c%d.example. 300 IN CNAME c%d.example.", i, i+1))
		}
		s.Add(t, "c12.example. 300 IN A 192.0.2.1")
		for name, want := range map[string]rookery.Kind{
			"loop1.example": rookery.KindUnavailable, "self.example": rookery.KindUnavailable,
			"c0.example": rookery.KindUnavailable, "c2.example": rookery.KindUnknown,
			"dangling.example": rookery.KindNotFound,
		} {
			_, err := r.A(t.Context(), name)
			if rookery.KindOf(err) != want || want == rookery.KindUnknown && err != nil {
				t.Errorf("%s (chains left: %v): %v", name, leave, err)
			}
		}
		if _, err := r.MX(t.Context(), "nodata.example"); !errors.Is(err, dns.ErrNoData) {
			t.Errorf("a chain to a name without MX: %v", err)
		}
	}
}

// Records of names that were not asked for are not believed.
func TestForeignRecords(t *testing.T) {
	s, r := started(t, dns.Options{})
	s.Handle("asked.example.", func(w mdns.ResponseWriter, req *mdns.Msg) {
		m := new(mdns.Msg).SetReply(req)
		rr, _ := mdns.NewRR("other.example. 300 IN A 192.0.2.66")
		m.Answer = []mdns.RR{rr}
		w.WriteMsg(m)
	})
	if a, err := r.A(t.Context(), "asked.example"); !errors.Is(err, dns.ErrNoData) {
		t.Errorf("%v, %v", a, err)
	}
}

func TestCancelled(t *testing.T) {
	s, r := started(t, dns.Options{})
	s.Handle("silent.example.", func(mdns.ResponseWriter, *mdns.Msg) {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.A(ctx, "silent.example")
	wantKind(t, err, rookery.KindUnavailable)
}

func TestClosed(t *testing.T) {
	s := dnsserver.Start(t)
	s.Handle("silent.example.", func(mdns.ResponseWriter, *mdns.Msg) {})
	r := dns.New(dns.Options{Servers: dns.Fixed(dns.Servers{Addrs: []netip.AddrPort{s.Addr()}}), Timeout: time.Hour, Total: time.Hour})
	got := make(chan error)
	go func() {
		_, err := r.A(context.Background(), "silent.example")
		got <- err
	}()
	for s.Asked("silent.example.", "A") == 0 {
	}
	r.Close()
	wantKind(t, <-got, rookery.KindUnavailable)
	_, err := r.A(t.Context(), "silent.example")
	wantKind(t, err, rookery.KindUnavailable)
}
