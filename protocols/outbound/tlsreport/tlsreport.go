// Package tlsreport counts how sessions with other systems fared with TLS, by day
// and domain, as reports to those domains want it (RFC 8460). It owns the names of
// policies and results, and the bounds of what is kept: in memory, of one node.
//
// It never makes a report, never sends one, and never decides what a session needs.
package tlsreport

import (
	"cmp"
	"crypto/x509"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"rookery/protocols/outbound/session"
	"rookery/protocols/outbound/tlspolicy"
)

// Result is how one session fared under which policy.
type Result struct {
	// Policy is "tlsa", "sts" or "no-policy-found" (RFC 8460 4.4).
	Policy string
	// Type is "success", or a result type of RFC 8460 4.3.
	Type string
}

// PolicyFailed is the result where what a host is owed is not known or forbids to
// send there.
func PolicyFailed(p *tlspolicy.Policy, err error) Result {
	switch {
	case p.Source == tlspolicy.DANE:
		return Result{policy(p), "dnssec-invalid"}
	case errors.Is(err, tlspolicy.ErrNotListed):
		return Result{policy(p), "validation-failure"}
	}
	return Result{policy(p), "sts-policy-fetch-error"}
}

// Opened is the result of a session that came about.
func Opened(p *tlspolicy.Policy, t session.TLS) Result {
	r := Result{policy(p), "success"}
	switch {
	case t.Cause != nil && (!t.Used || p.Source == tlspolicy.STSTesting):
		r.Type = kind(t.Cause)
	case !t.Used:
		r.Type = "starttls-not-supported"
	case p.Source == tlspolicy.STSTesting && !p.Listed:
		r.Type = "validation-failure"
	}
	return r
}

// Failed is the result of a session that did not come about; ok is false where
// TLS is not why.
func Failed(p *tlspolicy.Policy, err error) (r Result, ok bool) {
	var at *session.Error
	if !errors.As(err, &at) || at.Stage != session.AtStartTLS {
		return r, false
	}
	r = Result{policy(p), kind(err)}
	if at.Reply.Code > 0 || errors.Is(err, session.ErrNoTLS) {
		r.Type = "starttls-not-supported"
	}
	return r, true
}

func policy(p *tlspolicy.Policy) string {
	switch p.Source {
	case tlspolicy.DANE:
		return "tlsa"
	case tlspolicy.STSTesting, tlspolicy.STSEnforce:
		return "sts"
	}
	return "no-policy-found"
}

func kind(err error) string {
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &host):
		return "certificate-host-mismatch"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "certificate-expired"
	case errors.As(err, &unknown), errors.As(err, &invalid):
		return "certificate-not-trusted"
	}
	return "validation-failure"
}

// The bounds of Counts: rows of all days, and days.
const (
	MaxRows = 20_000
	maxDays = 3
)

// Row counts sessions with a domain's hosts on a day.
type Row struct {
	Day      string // of UTC, like 2026-12-01 (RFC 8460 4.1)
	Domain   string // of the policy: the recipients'
	Result   Result
	Sessions uint64
}

type key struct {
	day, domain string
	result      Result
}

// Counts are a node's. All methods may be called concurrently.
type Counts struct {
	clock func() time.Time

	mu   sync.Mutex
	rows map[key]uint64
	left uint64
}

// New makes Counts; a nil clock is time.Now.
func New(clock func() time.Time) *Counts {
	if clock == nil {
		clock = time.Now
	}
	return &Counts{clock: clock, rows: map[key]uint64{}}
}

// Add counts one session with a host of a domain. Past MaxRows only what is
// counted already goes on, and days before the last three go.
func (c *Counts) Add(domain string, r Result) {
	now := c.clock().UTC()
	k := key{now.Format(time.DateOnly), domain, r}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.rows[k]; !known && len(c.rows) >= MaxRows {
		oldest := now.AddDate(0, 0, 1-maxDays).Format(time.DateOnly)
		maps.DeleteFunc(c.rows, func(k key, _ uint64) bool { return k.day < oldest })
		if len(c.rows) >= MaxRows {
			c.left++
			return
		}
	}
	c.rows[k]++
}

// Take gives the rows of the days before one, in their order, and drops them.
func (c *Counts) Take(before time.Time) (rows []Row) {
	day := before.UTC().Format(time.DateOnly)
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, n := range c.rows {
		if k.day < day {
			rows = append(rows, Row{k.day, k.domain, k.result, n})
			delete(c.rows, k)
		}
	}
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Result.Policy, b.Result.Policy),
			cmp.Compare(a.Result.Type, b.Result.Type))
	})
	return rows
}

// Left counts the sessions that found no room.
func (c *Counts) Left() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left
}
