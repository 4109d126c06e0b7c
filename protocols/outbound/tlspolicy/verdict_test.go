package tlspolicy_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"rookery/protocols/dns"
	"rookery/protocols/outbound/session"
	"rookery/protocols/outbound/tlspolicy"
)

// A domain of which the administrator wants verified TLS gets no less, whatever it
// says itself.
func TestRequired(t *testing.T) {
	w := newWorld(t, true, "mta-sts.example.org")
	w.dns.Add(t, zone...)
	w.required = "example.org"
	is := func(what string, source tlspolicy.Source, mode session.TLSMode) {
		t.Helper()
		if p, err := w.first(t, "example.org"); err != nil || p.Source != source || p.TLS.Mode != mode || p.TLS.Names[0] != "mx.example.org" {
			t.Errorf("%s: %+v, %v", what, p, err)
		}
	}
	is("no policy", tlspolicy.Required, session.Verified)
	w.record(t, "example.org", "v=STSv1; id=1;")
	w.serve("mode: testing", "mx: *.example.org", "max_age: 86400")
	is("a policy in testing", tlspolicy.Required, session.Verified)
	w.record(t, "example.org", "v=STSv1; id=2;")
	w.serve("mode: enforce", "mx: *.example.org", "max_age: 86400")
	is("an enforced policy", tlspolicy.STSEnforce, session.Verified)
	w.dns.Secure("example.org.", "mx.example.org.", "_25._tcp.mx.example.org.")
	w.dns.Add(t, "_25._tcp.mx.example.org. 0 IN TLSA 0 1 1 "+sum)
	is("records that are not usable", tlspolicy.STSEnforce, session.Verified)
	w.dns.Add(t, "_25._tcp.mx.example.org. 0 IN TLSA 3 1 1 "+sum)
	is("records that are", tlspolicy.DANE, session.DANE)
	w.required = "example.com"
	w.dns.Remove("_25._tcp.mx.example.org.")
	w.dns.Add(t, "_25._tcp.mx.example.org. 0 IN TLSA 0 1 1 "+sum)
	is("records that are not usable, of another domain", tlspolicy.DANE, session.DANE)
}

// A policy is fetched again when half of its time is over, so that it does not end
// while its domain still has it; where that fails, it goes on.
func TestPoliciesAreRenewed(t *testing.T) {
	w := newWorld(t, true, "mta-sts.example.org")
	w.dns.Add(t, zone...)
	w.record(t, "example.org", "v=STSv1; id=1;")
	w.serve("mode: enforce", "mx: *.example.org", "max_age: 86400")
	for i, c := range []struct {
		after time.Duration
		asked int64
		serve string
	}{
		{0, 1, ""}, {12*time.Hour - time.Second, 1, ""}, {time.Second, 2, ""}, {11 * time.Hour, 2, ""}, {time.Hour, 3, "mode: nonsense"},
		{time.Minute, 3, ""}, {5 * time.Minute, 4, "mode: enforce"}, {time.Hour, 4, ""},
	} {
		if c.serve != "" {
			w.serve(c.serve, "mx: *.example.org", "max_age: 86400")
		}
		w.advance(c.after)
		if p, err := w.first(t, "example.org"); err != nil || p.Source != tlspolicy.STSEnforce || w.asked.Load() != c.asked {
			t.Errorf("step %d: %+v, %v, fetched %d times", i, p, err, w.asked.Load())
		}
	}
	// One that ends at once is not fetched for each message.
	w.record(t, "example.org", "v=STSv1; id=2;")
	w.serve("mode: enforce", "mx: *.example.org", "max_age: 0")
	for range 3 {
		if p, err := w.first(t, "example.org"); err != nil || p.Source != tlspolicy.STSEnforce || w.asked.Load() != 5 {
			t.Errorf("%+v, %v, fetched %d times", p, err, w.asked.Load())
		}
	}
}

func TestSame(t *testing.T) {
	a, b := dns.TLSA{Usage: 3, Matching: 1, Data: []byte{1}}, dns.TLSA{Usage: 3, Matching: 1, Data: []byte{2}}
	of := func(records ...dns.TLSA) tlspolicy.Policy {
		return tlspolicy.Policy{Source: tlspolicy.DANE, TLS: session.TLSPolicy{Mode: session.DANE, Names: []string{"mx"}, TLSA: records}}
	}
	named, verified := of(a, b), of(a, b)
	named.TLS.Names = []string{"other"}
	verified.TLS.Mode = session.Verified
	for i, c := range []struct {
		x, y tlspolicy.Policy
		same bool
	}{
		{of(a, b), of(b, a), true}, {of(a, b), of(a), false}, {of(a), of(b), false}, {of(a, a), of(a, b), false},
		{of(a, b), named, false}, {of(a, b), verified, false}, {tlspolicy.Policy{Why: "x"}, tlspolicy.Policy{Why: "y"}, true},
		{tlspolicy.Policy{}, tlspolicy.Policy{Source: tlspolicy.STSTesting}, false},
	} {
		if c.x.Same(&c.y) != c.same || c.y.Same(&c.x) != c.same {
			t.Errorf("case %d: the same: %v", i, !c.same)
		}
	}
}

func TestVerdicts(t *testing.T) {
	tls13 := session.TLS{Used: true, Version: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256"}
	proven, doubted := tls13, tls13
	proven.By, doubted.Why = "DANE-EE", "self-signed"
	dane, open := tlspolicy.Policy{Source: tlspolicy.DANE, Why: "1 TLSA record"}, tlspolicy.Policy{Why: "no MTA-STS policy"}
	offered := session.TLS{Why: "not offered"}
	for want, got := range map[string]tlspolicy.Verdict{
		"dane: TLS 1.3 TLS_AES_128_GCM_SHA256, verified by DANE-EE (1 TLSA record)":                    dane.Verdict(proven),
		"opportunistic: TLS 1.3 TLS_AES_128_GCM_SHA256, not verified (self-signed; no MTA-STS policy)": open.Verdict(doubted),
		"none: no TLS (not offered; no MTA-STS policy)":                                                open.Verdict(offered),
		"dane: no TLS (wrong key; 1 TLSA record)":                                                      dane.Refusal(errors.New("wrong key")),
		"": {},
	} {
		if fmt.Sprint(got) != want || got.Failed != (want == "dane: no TLS (wrong key; 1 TLSA record)") {
			t.Errorf("%+v: %q, want %q", got, got, want)
		}
	}
}
