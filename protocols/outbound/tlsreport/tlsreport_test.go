package tlsreport_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rookery/protocols/outbound/session"
	"rookery/protocols/outbound/tlspolicy"
	"rookery/protocols/outbound/tlsreport"
)

func TestResults(t *testing.T) {
	dane, sts := &tlspolicy.Policy{Source: tlspolicy.DANE}, &tlspolicy.Policy{Source: tlspolicy.STSEnforce, Listed: true}
	testing, none := &tlspolicy.Policy{Source: tlspolicy.STSTesting, Listed: true}, &tlspolicy.Policy{}
	used := session.TLS{Used: true}
	host, expired, unknown := x509.HostnameError{}, x509.CertificateInvalidError{Reason: x509.Expired}, x509.UnknownAuthorityError{}
	failed := func(p *tlspolicy.Policy, cause error, code int) tlsreport.Result {
		r, ok := tlsreport.Failed(p, &session.Error{Stage: session.AtStartTLS, Reply: session.Reply{Code: code}, Err: fmt.Errorf("x: %w", cause)})
		if !ok {
			t.Errorf("%v is no failure of TLS", cause)
		}
		return r
	}
	for i, c := range []struct {
		got    tlsreport.Result
		policy string
		kind   string
	}{
		{tlsreport.Opened(dane, used), "tlsa", "success"},
		{tlsreport.Opened(none, used), "no-policy-found", "success"},
		{tlsreport.Opened(none, session.TLS{Used: true, Cause: host}), "no-policy-found", "success"},
		{tlsreport.Opened(none, session.TLS{}), "no-policy-found", "starttls-not-supported"},
		{tlsreport.Opened(none, session.TLS{Cause: errors.New("handshake")}), "no-policy-found", "validation-failure"},
		{tlsreport.Opened(testing, used), "sts", "success"},
		{tlsreport.Opened(testing, session.TLS{Used: true, Cause: host}), "sts", "certificate-host-mismatch"},
		{tlsreport.Opened(&tlspolicy.Policy{Source: tlspolicy.STSTesting}, used), "sts", "validation-failure"},
		{failed(sts, expired, 0), "sts", "certificate-expired"},
		{failed(sts, unknown, 0), "sts", "certificate-not-trusted"},
		{failed(sts, session.ErrNoTLS, 0), "sts", "starttls-not-supported"},
		{failed(dane, errors.New("refused"), 454), "tlsa", "starttls-not-supported"},
		{failed(dane, errors.New("no record names it"), 0), "tlsa", "validation-failure"},
		{tlsreport.PolicyFailed(dane, errors.New("SERVFAIL")), "tlsa", "dnssec-invalid"},
		{tlsreport.PolicyFailed(sts, tlspolicy.ErrNotListed), "sts", "validation-failure"},
		{tlsreport.PolicyFailed(sts, errors.New("no quorum")), "sts", "sts-policy-fetch-error"},
	} {
		if c.got != (tlsreport.Result{Policy: c.policy, Type: c.kind}) {
			t.Errorf("case %d: %+v, want %s %s", i, c.got, c.policy, c.kind)
		}
	}
	if r, ok := tlsreport.Failed(dane, &session.Error{Stage: session.AtConnect, Err: errors.New("refused")}); ok {
		t.Errorf("a connection that failed counts as %+v", r)
	}
}

// What is taken is of whole days, and is taken once.
func TestTake(t *testing.T) {
	now := time.Date(2026, 12, 1, 23, 59, 0, 0, time.UTC)
	c := tlsreport.New(func() time.Time { return now })
	ok, bad := tlsreport.Result{Policy: "tlsa", Type: "success"}, tlsreport.Result{Policy: "tlsa", Type: "dnssec-invalid"}
	for _, r := range []tlsreport.Result{ok, bad, ok} {
		c.Add("b.example", r)
	}
	c.Add("a.example", ok)
	now = now.Add(2 * time.Minute)
	c.Add("a.example", ok)
	want := []tlsreport.Row{{"2026-12-01", "a.example", ok, 1}, {"2026-12-01", "b.example", bad, 1}, {"2026-12-01", "b.example", ok, 2}}
	if d := cmp.Diff(want, c.Take(now)); d != "" {
		t.Error(d)
	}
	if rows := c.Take(now); len(rows) != 0 {
		t.Errorf("taken twice: %+v", rows)
	}
}

// Domains without end cost no more than the bound, and old days make room.
func TestCountsAreBounded(t *testing.T) {
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	c := tlsreport.New(func() time.Time { return now })
	r := tlsreport.Result{Policy: "sts", Type: "success"}
	for i := range tlsreport.MaxRows + 5 {
		c.Add(fmt.Sprintf("%d.example", i), r)
	}
	c.Add("0.example", r)
	if n := c.Left(); n != 5 {
		t.Errorf("%d found no room, want 5", n)
	}
	now = now.AddDate(0, 0, 3)
	c.Add("new.example", r)
	if rows := c.Take(now.AddDate(0, 0, 1)); len(rows) != 1 || c.Left() != 5 {
		t.Errorf("%d rows after three days, %d found no room", len(rows), c.Left())
	}
}
