package destination

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"rookery"
	"rookery/protocols/dns"
	"rookery/test/dnsserver"
)

var us = Self{
	Names: []string{"mail.us.example", "mail2.us.example"},
	Addrs: []netip.Addr{netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8:ffff::1")},
	IPv4:  true, IPv6: true,
}

// finder asks a real DNS server, and keeps the order of hosts.
func finder(t *testing.T, self Self, zone ...string) (*Finder, *dnsserver.Server) {
	s := dnsserver.Start(t)
	s.Add(t, zone...)
	r := dns.New(dns.Options{
		Servers: dns.Fixed(dns.Servers{Addrs: []netip.AddrPort{s.Addr()}}), Timeout: 200 * time.Millisecond, Attempts: 1,
	})
	t.Cleanup(func() { r.Close() })
	f := New(r, func() Self { return self })
	f.shuffle = func(int, func(i, j int)) {}
	return f, s
}

// show is a destination in words: host=address,address host=...
func show(d Destination) string {
	var hosts []string
	for _, h := range d.Hosts {
		var addrs []string
		for _, a := range h.Addrs {
			addrs = append(addrs, a.String())
		}
		hosts = append(hosts, h.Name+"="+strings.Join(addrs, ","))
	}
	return strings.Join(hosts, " ")
}

var zone = []string{
	"two.example. 300 IN MX 20 mx2.two.example.", "two.example. 300 IN MX 10 mx1.two.example.",
	"mx1.two.example. 300 IN A 192.0.2.1", "mx1.two.example. 300 IN AAAA 2001:db8::1", "mx1.two.example. 300 IN A 192.0.2.2",
	"mx2.two.example. 300 IN A 192.0.2.3",
	"implicit.example. 300 IN A 192.0.2.4", "implicit.example. 300 IN TXT \"x\"",
	"alias.example. 300 IN CNAME two.example.",
	"null.example. 300 IN MX 0 .",
	"nothing.example. 300 IN TXT \"x\"",
	"dangling.example. 300 IN MX 10 gone.example.", "dangling.example. 300 IN MX 20 nothing.example.",
	"half.example. 300 IN MX 10 gone.example.", "half.example. 300 IN MX 20 mx2.two.example.",
	"broken.example. 300 IN MX 10 fail.example.", "broken.example. 300 IN MX 20 gone.example.",
	"partly.example. 300 IN MX 10 fail.example.", "partly.example. 300 IN MX 20 mx2.two.example.",
	`idn.example. 300 IN MX 10 m\195\188ller.example.`, "xn--mller-kva.example. 300 IN A 192.0.2.5",
	"xn--bcher-kva.example. 300 IN MX 10 mx2.two.example.",
	"backup.example. 300 IN MX 10 mx1.two.example.", "backup.example. 300 IN MX 20 mail.us.example.",
	"backup.example. 300 IN MX 20 mx2.two.example.", "backup.example. 300 IN MX 30 mx3.example.",
	"ours.example. 300 IN MX 10 mail.us.example.", "ours.example. 300 IN MX 20 mx2.two.example.",
	"disguised.example. 300 IN MX 10 mx.disguised.example.", "mx.disguised.example. 300 IN A 198.51.100.1",
	"disguised2.example. 300 IN MX 10 mx2.two.example.", "disguised2.example. 300 IN MX 20 mx6.disguised.example.",
	"disguised2.example. 300 IN MX 20 mx1.two.example.", "mx6.disguised.example. 300 IN AAAA 2001:db8:ffff::1",
	"inward.example. 300 IN MX 10 localhost.example.", "localhost.example. 300 IN A 127.0.0.1",
	"localhost.example. 300 IN AAAA ::1", "localhost.example. 300 IN A 10.1.2.3", "localhost.example. 300 IN A 0.0.0.0",
	"mixed.example. 300 IN MX 10 mixed.example.", "mixed.example. 300 IN A 192.168.1.1", "mixed.example. 300 IN A 192.0.2.6",
	"six.example. 300 IN AAAA 2001:db8::6",
	"twice.example. 300 IN MX 10 mx2.two.example.", "twice.example. 300 IN MX 20 mx2.two.example.",
	"loop.example. 300 IN MX 10 loop1.example.", "loop1.example. 300 IN CNAME loop2.example.", "loop2.example. 300 IN CNAME loop1.example.",
}

func TestDomain(t *testing.T) {
	f, s := finder(t, us, zone...)
	s.Fail("fail.example.", mdns.RcodeServerFailure)
	s.Fail("servfail.example.", mdns.RcodeServerFailure)
	s.Handle("silent.example.", func(mdns.ResponseWriter, *mdns.Msg) {})
	four := us
	four.IPv6 = false
	inside := us
	inside.Private = true
	for _, c := range []struct {
		domain string
		self   Self
		want   string
		kind   rookery.Kind
		is     error
	}{
		{"two.example", us, "mx1.two.example=2001:db8::1,192.0.2.1,192.0.2.2 mx2.two.example=192.0.2.3", 0, nil},
		{"Two.Example.", four, "mx1.two.example=192.0.2.1,192.0.2.2 mx2.two.example=192.0.2.3", 0, nil},
		{"implicit.example", us, "implicit.example=192.0.2.4", 0, nil},
		{"alias.example", four, "mx1.two.example=192.0.2.1,192.0.2.2 mx2.two.example=192.0.2.3", 0, nil},
		{"half.example", us, "mx2.two.example=192.0.2.3", 0, nil},
		{"partly.example", us, "mx2.two.example=192.0.2.3", 0, nil},
		{"idn.example", us, "xn--mller-kva.example=192.0.2.5", 0, nil},
		{"bücher.example", us, "mx2.two.example=192.0.2.3", 0, nil},
		{"twice.example", us, "mx2.two.example=192.0.2.3", 0, nil},
		{"mixed.example", us, "mixed.example=192.0.2.6", 0, nil},
		{"mixed.example", inside, "mixed.example=192.168.1.1,192.0.2.6", 0, nil},
		{"inward.example", inside, "localhost.example=::1,127.0.0.1,10.1.2.3", 0, nil},
		{"backup.example", four, "mx1.two.example=192.0.2.1,192.0.2.2", 0, nil},
		{"disguised2.example", us, "mx2.two.example=192.0.2.3", 0, nil},
		{"[192.0.2.9]", us, "=192.0.2.9", 0, nil},
		{"[IPv6:2001:db8::9]", us, "=2001:db8::9", 0, nil},
		// For good.
		{"null.example", us, "", rookery.KindDenied, dns.ErrNullMX},
		{"nowhere.example", us, "", rookery.KindNotFound, dns.ErrNoName},
		{"nothing.example", us, "", rookery.KindNotFound, ErrNoHost},
		{"dangling.example", us, "", rookery.KindNotFound, ErrNoHost},
		{"ours.example", us, "", rookery.KindDenied, ErrLoop},
		{"disguised.example", us, "", rookery.KindDenied, ErrLoop},
		{"[198.51.100.1]", us, "", rookery.KindDenied, ErrLoop},
		{"inward.example", us, "", rookery.KindDenied, ErrNotPublic},
		{"[127.0.0.1]", us, "", rookery.KindDenied, ErrNotPublic},
		{"[0.0.0.0]", inside, "", rookery.KindDenied, ErrNotPublic},
		{"[IPv6:::ffff:10.0.0.1]", us, "", rookery.KindDenied, ErrNotPublic},
		{"[2001:db8::9]", us, "", rookery.KindInvalid, nil},
		{"[IPv6:192.0.2.1]", us, "", rookery.KindInvalid, nil},
		{"[IPv6:fe80::1%eth0]", us, "", rookery.KindInvalid, nil},
		{"[]", us, "", rookery.KindInvalid, nil},
		{"a b", us, "", rookery.KindInvalid, nil},
		{"", us, "", rookery.KindInvalid, nil},
		// Later, perhaps.
		{"servfail.example", us, "", rookery.KindUnavailable, nil},
		{"silent.example", us, "", rookery.KindUnavailable, nil},
		{"broken.example", us, "", rookery.KindUnavailable, nil},
		{"loop.example", us, "", rookery.KindUnavailable, nil},
		{"six.example", four, "", rookery.KindUnavailable, nil},
	} {
		f.self = func() Self { return c.self }
		d, err := f.Domain(t.Context(), c.domain)
		if show(d) != c.want || rookery.KindOf(err) != c.kind || (err == nil) != (c.want != "") || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %q, %v (%v), want %q, %v", c.domain, show(d), err, rookery.KindOf(err), c.want, c.kind)
		}
	}
}

func TestImplicitAndSecure(t *testing.T) {
	f, s := finder(t, us, zone...)
	s.Secure("two.example.", "mx2.two.example.")
	d, err := f.Domain(t.Context(), "two.example")
	if err != nil || !d.Secure || d.Implicit || d.Hosts[0].Secure || !d.Hosts[1].Secure {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err = f.Domain(t.Context(), "implicit.example"); err != nil || d.Secure || !d.Implicit {
		t.Errorf("%+v, %v", d, err)
	}
}

// A route may lead anywhere, MX records do not count for it.
func TestRoute(t *testing.T) {
	f, s := finder(t, us, zone...)
	s.Fail("fail.example.", mdns.RcodeServerFailure)
	for _, c := range []struct {
		host, want string
		kind       rookery.Kind
	}{
		{"mx2.two.example", "mx2.two.example=192.0.2.3", 0},
		{"localhost.example", "localhost.example=::1,127.0.0.1,10.1.2.3", 0},
		{"mx.disguised.example", "mx.disguised.example=198.51.100.1", 0},
		{"127.0.0.1", "=127.0.0.1", 0}, {"[127.0.0.1]", "=127.0.0.1", 0}, {"::1", "=::1", 0},
		{"two.example", "", rookery.KindNotFound},
		{"fail.example", "", rookery.KindUnavailable},
		{"a..b", "", rookery.KindInvalid},
	} {
		d, err := f.Host(t.Context(), c.host)
		if show(d) != c.want || rookery.KindOf(err) != c.kind {
			t.Errorf("%s: %q, %v", c.host, show(d), err)
		}
	}
}

// A budget that is spent is not "there is none".
func TestBudget(t *testing.T) {
	f, _ := finder(t, us, zone...)
	for n := range 3 {
		if _, err := f.Domain(dns.WithBudget(t.Context(), n), "dangling.example"); err == nil || rookery.Is(err, rookery.KindNotFound) {
			t.Errorf("%d questions: %v", n, err)
		}
	}
}

func TestBounds(t *testing.T) {
	f, s := finder(t, us)
	for i := range 120 {
		s.Add(t, fmt.Sprintf("many.example. 300 IN MX %d mx%d.many.example.", i, i))
		for j := range 6 {
			s.Add(t, fmt.Sprintf("mx%d.many.example. 300 IN A 192.0.2.%d", i, j+1))
		}
	}
	for j := range 100 {
		s.Add(t, fmt.Sprintf("wide.example. 300 IN A 192.0.2.%d", j+1))
	}
	d, err := f.Domain(t.Context(), "many.example")
	n := 0
	for _, h := range d.Hosts {
		n += len(h.Addrs)
	}
	if err != nil || n != maxAddrs || len(d.Hosts) != 4 || s.Asked("mx10.many.example.", "A") != 0 {
		t.Errorf("%d hosts, %d addresses, %v", len(d.Hosts), n, err)
	}
	if d, err = f.Domain(t.Context(), "wide.example"); err != nil || len(d.Hosts[0].Addrs) != maxHostAddrs {
		t.Errorf("%v, %v", d, err)
	}
}

// Hosts of one preference come in every order, and never before a preferred one.
func TestRandomOrder(t *testing.T) {
	f, _ := finder(t, us,
		"r.example. 300 IN MX 10 a.example.", "r.example. 300 IN MX 10 b.example.", "r.example. 300 IN MX 20 c.example.",
		"a.example. 300 IN A 192.0.2.1", "b.example. 300 IN A 192.0.2.2", "c.example. 300 IN A 192.0.2.3",
	)
	f.shuffle = rand.New(rand.NewPCG(1, 2)).Shuffle
	seen := map[string]int{}
	for range 100 {
		d, err := f.Domain(t.Context(), "r.example")
		if err != nil {
			t.Fatal(err)
		}
		seen[show(d)]++
	}
	one, two := "a.example=192.0.2.1 b.example=192.0.2.2 c.example=192.0.2.3", "b.example=192.0.2.2 a.example=192.0.2.1 c.example=192.0.2.3"
	if len(seen) != 2 || seen[one] < 20 || seen[two] < 20 {
		t.Errorf("%v", seen)
	}
}

func TestPublic(t *testing.T) {
	for text, want := range map[string]bool{
		"192.0.2.1": true, "8.8.8.8": true, "2001:db8::1": true, "::ffff:8.8.8.8": true, "64:ff9b::808:808": true,
		"2002:808:808::1": true,
		"127.0.0.1":       false, "127.9.9.9": false, "::1": false, "10.0.0.1": false, "172.16.0.1": false, "192.168.0.1": false,
		"169.254.1.1": false, "fe80::1": false, "fd00::1": false, "fec0::1": false, "0.1.2.3": false, "100.64.0.1": false,
		"240.0.0.1": false, "::ffff:127.0.0.1": false, "64:ff9b::7f00:1": false, "2002:7f00:1::": false, "::7f00:1": false,
	} {
		if got := Usable(netip.MustParseAddr(text), false); got != want {
			t.Errorf("%s is public: %v", text, got)
		}
	}
	for _, text := range []string{"0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"} {
		if Usable(netip.MustParseAddr(text), true) {
			t.Errorf("%s can be used", text)
		}
	}
	if Usable(netip.Addr{}, true) {
		t.Error("no address can be used")
	}
}

// FuzzLiteral reads address literals: no panic, and the address comes back.
func FuzzLiteral(f *testing.F) {
	f.Add("[192.0.2.1]")
	f.Add("[IPv6:::1]")
	f.Add("[IPv6:]")
	finder := New(nil, func() Self { return Self{IPv4: true, IPv6: true, Private: true} })
	f.Fuzz(func(t *testing.T, s string) {
		if !strings.HasPrefix(s, "[") || !strings.HasSuffix(s, "]") || len(s) < 2 {
			return
		}
		d, err := finder.Domain(context.Background(), s)
		if err != nil {
			return
		}
		if a, err := parseLiteral(bracket(d.Hosts[0].Addrs[0])); err != nil || a != d.Hosts[0].Addrs[0] {
			t.Fatalf("%q: %v, %v", s, a, err)
		}
	})
}
