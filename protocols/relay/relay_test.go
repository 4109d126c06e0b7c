package relay

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"testing"

	"rookery"
)

func TestNetworksThatHoldStrangersAreRefused(t *testing.T) {
	for _, s := range []string{"0.0.0.0/0", "::/0", "0.0.0.0/1", "128.0.0.0/1", "2000::/3", "::/8", "::ffff:0:0/96", "::ffff:10.0.0.0/104",
		"::ffff:10.0.0.1", "10.0.0.0", "fc00::/6", "here", "", "fe80::1%eth0", "10.0.0.0/33"} {
		p, err := ParseNetwork(s)
		if s == "10.0.0.0" {
			if err != nil || p.Bits() != 32 {
				t.Errorf("%s: %v %v, want one address", s, p, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%s is taken as %v", s, p)
		}
	}
	for s, want := range map[string]string{"10.1.2.3/8": "10.0.0.0/8", "2001:db8::/32": "2001:db8::/32", "fc00::/7": "fc00::/7",
		"192.0.2.9": "192.0.2.9/32", "::1": "::1/128"} {
		if p, err := ParseNetwork(s); err != nil || p.String() != want {
			t.Errorf("%s: %v %v, want %s", s, p, err, want)
		}
	}
}

func rules(t *testing.T, networks, senders []string) Rules {
	t.Helper()
	var r Rules
	for _, n := range networks {
		p, err := ParseNetwork(n)
		if err != nil {
			t.Fatal(err)
		}
		r.Networks = append(r.Networks, p)
	}
	for _, s := range senders {
		x, err := ParseSender(s)
		if err != nil {
			t.Fatal(err)
		}
		r.Senders = append(r.Senders, x)
	}
	return r
}

func gate(r *Rules) *Gate {
	return New(Options{Rules: func() Rules { return *r }, Local: func(d string) bool { return d == "example.com" }})
}

func TestClientsAreFoundByNetworkInAnyNotation(t *testing.T) {
	r := rules(t, []string{"10.1.0.0/16", "fd00::/64"}, nil)
	g := gate(&r)
	for addr, want := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "10.2.0.1": false, "::ffff:10.2.0.1": false,
		"fd00::5": true, "fd00::5%eth0": true, "fd00:0:0:1::5": false, "::10.1.2.3": false, "64:ff9b::10.1.2.3": false} {
		if got := g.Client(netip.MustParseAddr(addr), nil) != nil; got != want {
			t.Errorf("%s may relay: %v, want %v", addr, got, want)
		}
	}
	if r.Networks = nil; g.Client(netip.MustParseAddr("10.1.2.3"), nil) != nil {
		t.Error("a network that was taken away may still relay")
	}
}

func TestCertificatesArePinned(t *testing.T) {
	mine, other := &x509.Certificate{Raw: []byte("mine")}, &x509.Certificate{Raw: []byte("other")}
	r := Rules{Certificates: []Fingerprint{sha256.Sum256(mine.Raw)}}
	g, far := gate(&r), netip.MustParseAddr("203.0.113.1")
	if g.Client(far, &tls.ConnectionState{PeerCertificates: []*x509.Certificate{mine}}) == nil {
		t.Error("the certificate that is listed may not relay")
	}
	// The listed one behind another proves nothing: its key was not used.
	if g.Client(far, &tls.ConnectionState{PeerCertificates: []*x509.Certificate{other, mine}}) != nil {
		t.Error("another certificate may relay")
	}
	if g.Client(far, &tls.ConnectionState{}) != nil || g.Client(far, nil) != nil {
		t.Error("a client without a certificate may relay")
	}
}

func TestSenders(t *testing.T) {
	r := rules(t, []string{"10.0.0.0/8"}, []string{"App@example.org", "@Example.NET"})
	grant := gate(&r).Client(netip.MustParseAddr("10.0.0.1"), nil)
	for s, want := range map[string]bool{"any@example.com": true, "app@example.org": true, "APP+x@example.org": true,
		"other@example.org": false, "x@example.net": true, "x@sub.example.net": false, "x@sub.example.com": false} {
		a, err := rookery.ParseAddress(s)
		if err != nil {
			t.Fatal(err)
		}
		if grant.May(a) != want {
			t.Errorf("may send as %s: %v, want %v", s, !want, want)
		}
	}
	if grant.May(rookery.Address{}) {
		t.Error("the null sender is free though nobody has listed it")
	}
	r.Senders = append(r.Senders, Sender{null: true})
	if grant = gate(&r).Client(netip.MustParseAddr("10.0.0.1"), nil); !grant.May(rookery.Address{}) {
		t.Error("the null sender is listed and refused")
	}
	for _, bad := range []string{"", "@", "app", "@[10.0.0.1]", "a b@example.com"} {
		if _, err := ParseSender(bad); err == nil {
			t.Errorf("%q is taken as a sender", bad)
		}
	}
}
