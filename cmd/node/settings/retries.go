package settings

import (
	"strings"
	"time"

	"rookery"
)

// Retries says when mail that failed for now is tried again, when it goes back, and
// when its sender hears that it is late; 0 is never.
type Retries struct{ First, Most, Expire, Notice time.Duration }

// Retry is the schedule of the domains that have none of their own.
func (o *Outbound) Retry() Retries {
	return Retries{Span(o.RetryFirst), Span(o.RetryMost), Span(o.Expire), Span(o.Notice)}
}

// leastWaits are the bounds of the fields of Retries from below, in their order;
// mostWait is that of all from above.
var leastWaits = [4]time.Duration{time.Second, time.Second, time.Minute, 0}

const mostWait = 90 * 24 * time.Hour

// waits reports whether the i-th field of Retries may be what a text says.
func waits(i int, text string) bool {
	d, err := time.ParseDuration(text)
	return err == nil && d >= leastWaits[i] && d <= mostWait
}

// ParseRetries reads one of Outbound.Retries: a domain, as A-labels, and its
// schedule.
func ParseRetries(s string) (domain string, r Retries, ok bool) {
	domain, text, _ := strings.Cut(s, "=")
	parts := strings.Split(text, "/")
	if len(parts) != len(leastWaits) {
		return "", r, false
	}
	for i, p := range parts {
		if !waits(i, p) {
			return "", r, false
		}
	}
	r = Retries{Span(parts[0]), Span(parts[1]), Span(parts[2]), Span(parts[3])}
	domain, err := rookery.NormalDomain(domain)
	return domain, r, err == nil && domain[0] != '['
}
