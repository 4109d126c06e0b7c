// Package destination finds the hosts that mail for a domain is given to, in the
// order in which they are tried (RFC 5321 5.1): by MX records, by the domain's
// own addresses where it has none, by an address literal, or the one host of a
// route. It owns what a destination may be: no null MX, not ourselves, no address
// that is not public.
//
// It never connects, never keeps an answer (dns does), and never takes a failure
// of DNS for "there is none": that is temporary (G7).
package destination

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"

	"rookery"
	"rookery/protocols/dns"
)

// The bounds of one destination.
const (
	maxNames     = 100 // MX records that are looked at, the most preferred ones
	maxHosts     = 10  // hosts whose addresses are looked for
	maxHostAddrs = 8   // addresses of one host
	maxAddrs     = 20  // addresses of all
)

// Why mail cannot go anywhere. Errors with one of these, with dns.ErrNullMX or
// with dns.ErrNoName are for good: their kind is KindDenied or KindNotFound.
// Every other error is temporary, but for KindInvalid: the domain is none.
var (
	// ErrLoop says that the most preferred host is ourselves.
	ErrLoop = errors.New("mail loops back to us")
	// ErrNotPublic says that all addresses are on loopback, private or otherwise
	// no address of a host on the Internet.
	ErrNotPublic = errors.New("the hosts have no public address")
	// ErrNoHost says that the domain exists, but no host that takes its mail.
	ErrNoHost = errors.New("no host takes mail for the domain")
)

// Resolver answers what a Finder asks; *dns.Resolver does.
type Resolver interface {
	MX(ctx context.Context, domain string) (dns.Answer[dns.MX], error)
	A(ctx context.Context, host string) (dns.Answer[netip.Addr], error)
	AAAA(ctx context.Context, host string) (dns.Answer[netip.Addr], error)
}

// Self is what this node is, asked for with each destination.
type Self struct {
	// Names are those of our hosts that take mail from outside, of all nodes, in
	// A-labels and lower case; Addrs are their addresses.
	Names []string
	Addrs []netip.Addr
	// IPv4 and IPv6 say from which families this node can send.
	IPv4, IPv6 bool
	// Private allows addresses that are not public, as in a test or a company's
	// own network.
	Private bool
}

// Finder finds destinations. All methods may be called concurrently.
type Finder struct {
	resolver Resolver
	self     func() Self
	shuffle  func(n int, swap func(i, j int))
}

// New makes a Finder. It does no I/O.
func New(r Resolver, self func() Self) *Finder {
	return &Finder{resolver: r, self: self, shuffle: rand.Shuffle}
}

// Destination is where mail goes: at least one host with an address.
type Destination struct {
	// Domain is in A-labels; it may be an address literal.
	Domain string
	Hosts  []Host
	// Secure says that the MX records, or that there are none, were validated
	// (RFC 7672 2.2). It is false where there are none: what is not there is not
	// told to be secure.
	Secure bool
	// Implicit says that the domain has no MX records (RFC 5321 5.1).
	Implicit bool
	// Route says that an administrator named the host, not the domain.
	Route bool
}

// Host is one that takes the mail.
type Host struct {
	// Name is in A-labels, "" for an address literal. Canonical is where its
	// CNAMEs lead, Name where it has none.
	Name, Canonical string
	Preference      uint16
	// Addrs are in the order in which they are tried; IPv6 and IPv4 alternate
	// where this node has both.
	Addrs []netip.Addr
	// Secure says that all addresses were validated.
	Secure bool
}

// Domain finds where mail for a domain goes.
func (f *Finder) Domain(ctx context.Context, domain string) (Destination, error) {
	op := "destination " + domain
	d, err := rookery.NormalDomain(domain)
	if err != nil {
		return Destination{}, rookery.E(op, rookery.KindInvalid, err)
	}
	self := f.self()
	if d[0] == '[' {
		return literal(op, d, self)
	}
	found := Destination{Domain: d}
	mx, err := f.resolver.MX(ctx, d)
	switch {
	case err == nil:
		found.Secure = mx.Secure
	case errors.Is(err, dns.ErrNoData):
		found.Implicit = true
		mx.Records = []dns.MX{{Host: d}}
	default:
		return Destination{}, rookery.E(op, rookery.KindUnknown, err)
	}
	s := search{f: f, self: self}
	found.Hosts = s.hosts(ctx, mx.Records)
	if len(found.Hosts) == 0 {
		return Destination{}, s.none(op)
	}
	return found, nil
}

// Host finds the addresses of the host that a route names: a name, whose MX
// records do not count, or an address, with or without brackets. A route is an
// administrator's word: it may lead to ourselves and to any address.
func (f *Finder) Host(ctx context.Context, host string) (Destination, error) {
	op := "route to " + host
	self := f.self()
	self.Names, self.Addrs, self.Private = nil, nil, true
	if a, err := netip.ParseAddr(host); err == nil {
		host = bracket(a)
	}
	d, err := rookery.NormalDomain(host)
	if err != nil {
		return Destination{}, rookery.E(op, rookery.KindInvalid, err)
	}
	if d[0] == '[' {
		found, err := literal(op, d, self)
		found.Route = true
		return found, err
	}
	s := search{f: f, self: self}
	found := Destination{Domain: d, Route: true, Hosts: s.hosts(ctx, []dns.MX{{Host: d}})}
	if len(found.Hosts) == 0 {
		return Destination{}, s.none(op)
	}
	return found, nil
}
