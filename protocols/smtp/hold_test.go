package smtp

import (
	"strings"
	"testing"
	"time"

	"rookery"
	"rookery/protocols/delivery"
)

// Who has signed in says when a message is to go, within 90 days (RFC 4865).
func TestFutureRelease(t *testing.T) {
	now := time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
	r := newRig(t, Submissions, func(o *Options) { o.Clock = func() time.Time { return now } })
	c := r.dialTLS()
	if ehlo := c.hello(); !strings.Contains(ehlo, "250-FUTURERELEASE 7776000 2027-03-01T10:00:00Z\r\n") {
		t.Errorf("%q", ehlo)
	}
	c.do("AUTH PLAIN "+b64("\x00anna\x00secret"), "235 ")
	for params, want := range map[string]string{
		"HOLDFOR=0": "501 5.5.4 ", "HOLDFOR=-1": "501 5.5.4 ", "HOLDFOR=7776001": "501 5.5.4 ", "HOLDFOR=1000000000": "501 5.5.4 ",
		"HOLDFOR":                        "501 5.5.4 ",
		"HOLDUNTIL=2027-03-01T10:00:01Z": "501 5.5.4 ", "HOLDUNTIL=tomorrow": "501 5.5.4 ",
		"HOLDFOR=1 HOLDUNTIL=2026-12-02T10:00:00Z": "501 5.5.4 ", "HOLDFOR=7776000": "250 ", "HOLDUNTIL=2027-03-01T17:00:00+07:00": "250 ",
	} {
		if got := c.do("MAIL FROM:<anna@example.com> "+params, ""); !strings.HasPrefix(got, want) {
			t.Errorf("MAIL %s: got %q, want %q", params, got, want)
		}
		c.do("RSET", "250 ")
	}
	for params, want := range map[string]time.Time{
		"": {}, "HOLDFOR=60": now.Add(time.Minute), "HOLDUNTIL=2026-12-02T10:00:00Z": now.Add(24 * time.Hour),
		"HOLDUNTIL=2026-11-30T10:00:00Z": {}, // that time has come
	} {
		c.do("MAIL FROM:<anna@example.com> "+params, "250 ")
		c.do("RCPT TO:<bert@example.com>", "250 ")
		c.do("DATA", "354 ")
		c.do("From: anna@example.com\r\n\r\nhello\r\n.", "250 ")
		r.store.mu.Lock()
		got := r.store.requests[len(r.store.requests)-1]
		r.store.mu.Unlock()
		if !got.Scheduled.Equal(want) || (got.Sender == rookery.AccountID{}) == !want.IsZero() {
			t.Errorf("%s: scheduled for %v by %v, want %v by the account of who signed in", params, got.Scheduled, got.Sender, want)
		}
	}
}

// Who has sent too much is told when it goes again.
func TestRateIsAnswered(t *testing.T) {
	at := time.Date(2026, 12, 1, 11, 0, 0, 0, time.UTC)
	r := newRig(t, Submissions, func(o *Options) {
		o.Deliver.(*store).fail = rookery.E("deliver", rookery.KindLimit, &delivery.RateError{Again: at})
	})
	c := r.dialTLS()
	c.hello()
	c.do("AUTH PLAIN "+b64("\x00anna\x00secret"), "235 ")
	c.do("MAIL FROM:<anna@example.com>", "250 ")
	c.do("RCPT TO:<x@far.example>", "250 ")
	c.do("DATA", "354 ")
	if got := c.do("From: anna@example.com\r\n\r\nhello\r\n.", "450 4.7.1 "); !strings.Contains(got, "2026-12-01T11:00:00Z") {
		t.Errorf("%q", got)
	}
}
