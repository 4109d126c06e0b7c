package outbound_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rookery"
	"rookery/protocols/dns"
	"rookery/protocols/outbound"
	"rookery/protocols/outbound/session"
	"rookery/protocols/outbound/tlspolicy"
	"rookery/protocols/outbound/tlsreport"
)

// certified is a server's configuration, and the TLSA record of its key.
func certified(t *testing.T) (*tls.Config, dns.TLSA) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mx.far.example"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		dns.TLSA{Usage: 3, Selector: 0, Matching: 1, Data: sum[:]}
}

// owed is the policy of a host, which a test changes.
type owed struct {
	policy atomic.Pointer[tlspolicy.Policy]
	err    atomic.Pointer[error]
}

func (o *owed) find(context.Context) (tlspolicy.Policy, error) {
	p := *o.policy.Load()
	if err := o.err.Load(); err != nil {
		return p, *err
	}
	return p, nil
}

func dane(records ...dns.TLSA) *tlspolicy.Policy {
	return &tlspolicy.Policy{TLS: session.TLSPolicy{Mode: session.DANE, TLSA: records}, Source: tlspolicy.DANE, Why: "records of the test"}
}

// A connection is used again under the policy that it was made under, and no
// other one; what cannot be known or verified keeps the mail, and says why.
func TestConnectionsKeepToTheirPolicy(t *testing.T) {
	r := newRig(t, nil)
	r.user("anna", 2)
	config, record := certified(t)
	far := newTLSSink(t, config)
	o := &owed{}
	o.policy.Store(&tlspolicy.Policy{Why: "nothing is owed"})
	r.hosts["far.example"] = []outbound.Host{{Peer: session.Peer{Name: "mx.far.example", Addr: far.addr}, Policy: o.find}}
	sessions := func() int { far.mu.Lock(); defer far.mu.Unlock(); return far.sessions }
	change := map[int]func(){
		1: func() { o.policy.Store(dane(record)) },
		3: func() {
			o.policy.Store(dane(record, dns.TLSA{Usage: 3, Selector: 1, Matching: 1, Data: make([]byte, 32)}))
		},
	}
	n := 0
	far.arrives = func() error {
		if n++; change[n] != nil {
			change[n]()
			r.pass(5 * time.Second) // until it is asked again
		}
		return nil
	}
	for range 5 {
		r.send("anna@example.com", "x@far.example")
	}
	r.set.Connections = 1
	r.run()
	r.eventually("the mail", 0, func() bool { return r.owed() == 0 })
	// One without a policy, two under the first records, two under the others; each
	// connection is greeted twice, before TLS and in it.
	if got := sessions(); got != 6 {
		t.Errorf("greeted %d times on connections under three policies, want 6", got)
	}
}

// What TLS keeps is tried again, and comes back with the reason in it when its
// time is over; none of it goes in clear.
func TestMailIsKeptForTLS(t *testing.T) {
	config, record := certified(t)
	record.Data = make([]byte, sha256.Size) // of another certificate
	unknown := errors.New("SERVFAIL")
	for name, c := range map[string]struct {
		config *tls.Config
		policy *tlspolicy.Policy
		err    error
		want   string
		fared  tlsreport.Result
	}{
		"wrong certificate": {config: config, policy: dane(record), want: "dane: no TLS (",
			fared: tlsreport.Result{Policy: "tlsa", Type: "validation-failure"}},
		"no TLS": {policy: dane(record), want: "the peer does not offer STARTTLS",
			fared: tlsreport.Result{Policy: "tlsa", Type: "starttls-not-supported"}},
		"not for the name": {config: config, want: "sts: no TLS (", policy: &tlspolicy.Policy{
			TLS: session.TLSPolicy{Mode: session.Verified, Names: []string{"mx.other.example"}}, Source: tlspolicy.STSEnforce},
			fared: tlsreport.Result{Policy: "sts", Type: "certificate-host-mismatch"}},
		"required": {config: config, want: "required: no TLS (",
			fared:  tlsreport.Result{Policy: "no-policy-found", Type: "certificate-not-trusted"},
			policy: &tlspolicy.Policy{TLS: session.TLSPolicy{Mode: session.Verified}, Source: tlspolicy.Required}},
		"bogus": {config: config, policy: &tlspolicy.Policy{Source: tlspolicy.DANE}, want: "SERVFAIL",
			fared: tlsreport.Result{Policy: "tlsa", Type: "dnssec-invalid"}, err: rookery.E("tls policy", rookery.KindUnavailable, unknown)},
	} {
		t.Run(name, func(t *testing.T) {
			fared := make(chan tlsreport.Result, 100)
			r := newRig(t, func(r *rig) {
				r.o.Connect = &outbound.Hosts{Find: r, Hello: "mail.example.com", Observe: func(domain string, x tlsreport.Result) {
					if domain == "far.example" {
						fared <- x
					}
				}}
			})
			anna := r.user("anna", 2)
			far := newTLSSink(t, c.config)
			o := &owed{}
			o.policy.Store(c.policy)
			if c.err != nil {
				o.err.Store(&c.err)
			}
			r.hosts["far.example"] = []outbound.Host{{Peer: session.Peer{Name: "mx.far.example", Addr: far.addr}, Policy: o.find}}
			r.send("anna@example.com", "x@far.example")
			x := r.onlyRow()
			r.run()
			r.eventually("an attempt", 0, func() bool { return r.row(x).Tries > 0 })
			var last outbound.Entry
			if err := r.c.List(t.Context(), x.group, [16]byte{}, func(e outbound.Entry) bool { last = e; return true }); err != nil {
				t.Fatal(err)
			}
			if h := last.Last; h.Status != "4.7.5" || !strings.Contains(h.TLS, c.want) || h.Host != "mx.far.example" {
				t.Errorf("heard %+v, want %q", h, c.want)
			}
			if got := <-fared; got != c.fared {
				t.Errorf("counted as %+v, want %+v", got, c.fared)
			}
			r.pass(6 * 24 * time.Hour)
			r.eventually("the bounce", time.Minute, func() bool { return r.owed() == 0 && len(r.inbox(anna)) > 0 })
			text := strings.Join(r.inbox(anna), "")
			for _, want := range []string{"Status: 4.7.5", "A protected (encrypted) connection", "X-Rookery-TLS:"} {
				if !strings.Contains(text, want) {
					t.Errorf("the bounce lacks %q:\n%s", want, text)
				}
			}
			if len(far.got()) > 0 {
				t.Error("the message went out")
			}
		})
	}
}

// A host that is left out for its TLS is passed over for the next one; where none
// is left, TLS is the reason that is told.
func TestHostsAreLeftOutForTLS(t *testing.T) {
	r := newRig(t, nil)
	far := newSink(t)
	unlisted := func(context.Context) (tlspolicy.Policy, error) {
		return tlspolicy.Policy{Source: tlspolicy.STSEnforce}, rookery.E("tls policy", rookery.KindUnavailable, tlspolicy.ErrNotListed)
	}
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	out := outbound.Host{Peer: session.Peer{Name: "mx1.far.example", Addr: far.addr}, Policy: unlisted}
	dead := outbound.Host{Peer: session.Peer{Name: "mx2.far.example", Addr: netip.MustParseAddrPort(gone.Addr().String())}}
	good := outbound.Host{Peer: session.Peer{Name: "mx3.far.example", Addr: far.addr}}
	r.hosts["far.example"] = []outbound.Host{out, out, out, out, out, out, good}
	c, err := r.o.Connect.Open(t.Context(), outbound.Hop{Name: "far.example"})
	if err != nil || c.Peer().Name != "mx3.far.example" || c.TLS.Policy != "none" {
		t.Fatalf("%+v, %v", c, err)
	}
	c.Close()
	r.hosts["far.example"] = []outbound.Host{out, dead}
	_, err = r.o.Connect.Open(t.Context(), outbound.Hop{Name: "far.example"})
	var at *outbound.HostError
	if !errors.As(err, &at) || at.Peer.Name != "mx1.far.example" || !at.TLS.Failed || !errors.Is(err, tlspolicy.ErrNotListed) {
		t.Errorf("%v", err)
	}
}
