// Package tlspolicy finds which TLS a host is owed that takes a domain's mail:
// by its TLSA records (DANE, RFC 7672), else by the domain's policy (MTA-STS,
// RFC 8461), else by what the administrator wants of the domain, else
// opportunistic. It owns the rules of all, the fetching of policies, and the words
// for what came of them.
//
// It never downgrades: what DNS or the cache does not know now is an error, and
// the host is left out for now. It never connects to a host that takes mail, and
// never keeps a policy: the cache that it is handed does.
package tlspolicy

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/singleflight"

	"rookery"
	"rookery/protocols/dns"
	"rookery/protocols/outbound/destination"
	"rookery/protocols/outbound/session"
)

// Resolver answers what a Finder asks; *dns.Resolver does.
type Resolver interface {
	TXT(ctx context.Context, name string) (dns.Answer[string], error)
	TLSA(ctx context.Context, host string, port uint16) (dns.Answer[dns.TLSA], error)
	CNAME(ctx context.Context, name string) (dns.Answer[string], error)
	A(ctx context.Context, host string) (dns.Answer[netip.Addr], error)
	AAAA(ctx context.Context, host string) (dns.Answer[netip.Addr], error)
}

// Cache keeps policies until they end. An error of Get defers the mail: a policy
// that is kept but not known now may forbid to send it. One of Put costs a fetch.
type Cache interface {
	Get(ctx context.Context, domain string) (p STS, ok bool, err error)
	Put(ctx context.Context, domain string, p STS) error
}

// Options are what a Finder is made of. Resolver and Cache are required, zero
// values mean the defaults given.
type Options struct {
	Resolver Resolver
	Cache    Cache
	// Timeout is for fetching a policy, with all look-ups; 30 s.
	Timeout time.Duration
	// Again is how long a fetch that failed is not tried again; 5 min (RFC 8461
	// 3.3).
	Again time.Duration
	// Port is where policy servers listen; 443.
	Port uint16
	// Roots are whom to believe for policy servers and for hosts that a policy
	// wants verified; nil is the system's.
	Roots *x509.CertPool
	// Private says whether policy servers may have addresses that are not public;
	// nil: they may not.
	Private func() bool
	// Required says for which domains a host has to show a certificate for its
	// name, whatever the domain says itself; nil: for none.
	Required func(domain string) bool
	// Clock tells when policies end; default time.Now.
	Clock func() time.Time
}

// Finder finds policies. All methods may be called concurrently.
type Finder struct {
	o       Options
	flights singleflight.Group
	failed  *failures
}

// New makes a Finder. It does no I/O.
func New(o Options) *Finder {
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Again <= 0 {
		o.Again = 5 * time.Minute
	}
	if o.Port == 0 {
		o.Port = 443
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Private == nil {
		o.Private = func() bool { return false }
	}
	if o.Required == nil {
		o.Required = func(string) bool { return false }
	}
	return &Finder{o: o, failed: newFailures()}
}

// Source is where a policy comes from.
type Source uint8

// The sources. None is opportunistic TLS, and so is STSTesting, of which reports
// are made.
const (
	None Source = iota
	STSTesting
	STSEnforce
	DANE
	Required // the administrator wants it
)

func (s Source) String() string {
	return [...]string{"none", "sts testing", "sts", "dane", "required"}[s]
}

// Policy is what one host is owed.
type Policy struct {
	TLS    session.TLSPolicy
	Source Source
	// Why says in words why it is so, for trace, log and bounce.
	Why string
	// Listed says, for the sources of MTA-STS, that the domain's policy names the
	// host. With STSEnforce it always does.
	Listed bool
}

// ErrNotListed is in the chain where a domain's policy does not name a host.
var ErrNotListed = errors.New("the domain's MTA-STS policy does not name the host")

// Domain is what a destination's domain says of all its hosts; nil where it says
// nothing. An error is temporary: the mail waits.
func (f *Finder) Domain(ctx context.Context, d destination.Destination) (*STS, error) {
	if d.Route || d.Domain == "" || d.Domain[0] == '[' {
		return nil, nil
	}
	p, err := f.sts(ctx, d.Domain)
	if err != nil {
		return nil, rookery.E("mta-sts "+d.Domain, rookery.KindUnavailable, err)
	}
	return p, nil
}

// Host finds what one host of a destination is owed at a port, given what Domain
// said. An error is temporary: the host is left out for now, never sent to with
// less than it is owed (RFC 7672 2.1.1). The policy that comes with it has the
// source that failed, for a verdict.
func (f *Finder) Host(ctx context.Context, d destination.Destination, sts *STS, h destination.Host, port uint16) (Policy, error) {
	op := "tls policy of " + h.Name
	if h.Name == "" {
		return Policy{Why: "the host is an address"}, nil
	}
	base, records, why, err := f.dane(ctx, d, h, port)
	if err != nil {
		return Policy{Source: DANE}, rookery.E(op, rookery.KindUnavailable, err)
	}
	required := f.o.Required(d.Domain)
	if required && !slices.ContainsFunc(records, session.Usable) {
		records = nil // they would ask for TLS alone
	}
	if records != nil {
		names := []string{base}
		for _, n := range []string{h.Name, d.Domain} {
			if n != base {
				names = append(names, n)
			}
		}
		return Policy{
			TLS: session.TLSPolicy{Mode: session.DANE, TLSA: records, Names: names}, Source: DANE,
			Why: fmt.Sprintf("%d TLSA records at %s", len(records), base),
		}, nil
	}
	if sts == nil && required {
		return Policy{
			TLS: session.TLSPolicy{Mode: session.Verified, Roots: f.o.Roots, Names: []string{h.Name}}, Source: Required,
			Why: "outbound.tls_required names " + d.Domain,
		}, nil
	}
	if sts == nil {
		return Policy{TLS: session.TLSPolicy{Roots: f.o.Roots}, Why: why + "; no MTA-STS policy"}, nil
	}
	p := Policy{TLS: session.TLSPolicy{Roots: f.o.Roots, Names: []string{h.Name}}, Source: STSTesting, Listed: sts.Lists(h.Name)}
	p.Why = fmt.Sprintf("MTA-STS policy %s (%v) of %s", sts.ID, sts.Mode, d.Domain)
	switch {
	case sts.Mode == Enforce && !p.Listed:
		return Policy{Source: STSEnforce, Why: p.Why}, rookery.E(op, rookery.KindUnavailable, ErrNotListed)
	case sts.Mode == Enforce:
		p.TLS.Mode, p.Source = session.Verified, STSEnforce
	case required:
		p.TLS.Mode, p.Source = session.Verified, Required
	}
	return p, nil
}

// Same says that a connection made under one policy may go on under the other.
func (p *Policy) Same(o *Policy) bool {
	if p.Source != o.Source || p.TLS.Mode != o.TLS.Mode || !slices.Equal(p.TLS.Names, o.TLS.Names) || len(p.TLS.TLSA) != len(o.TLS.TLSA) {
		return false
	}
	has := func(all []dns.TLSA, r dns.TLSA) bool {
		return slices.ContainsFunc(all, func(x dns.TLSA) bool {
			return x.Usage == r.Usage && x.Selector == r.Selector && x.Matching == r.Matching && bytes.Equal(x.Data, r.Data)
		})
	}
	for i := range p.TLS.TLSA {
		if !has(o.TLS.TLSA, p.TLS.TLSA[i]) || !has(p.TLS.TLSA, o.TLS.TLSA[i]) {
			return false
		}
	}
	return true
}
