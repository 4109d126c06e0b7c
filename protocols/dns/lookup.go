package dns

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	mdns "github.com/miekg/dns"

	"rookery"
)

// Answer is what a lookup found: at least one record, at most 256.
type Answer[T any] struct {
	Records []T
	// Name is the owner of the records: the name asked for, or where CNAMEs led.
	Name string
	// Secure says that a server which is believed has validated all of the
	// answer, its CNAMEs included (RFC 4035 4.9.3).
	Secure bool
}

// MX is a mail exchanger (RFC 1035 3.3.9).
type MX struct {
	Preference uint16
	Host       string // A-labels in lower case, without a trailing dot
}

// TLSA is a certificate association (RFC 6698 2.1).
type TLSA struct {
	Usage, Selector, Matching uint8
	Data                      []byte
}

// All lookups fail with KindNotFound where there is no such name (ErrNoName) or
// no such record (ErrNoData), with KindInvalid where the name is no domain name,
// with KindLimit when the context's budget is spent, and with KindUnavailable
// for all that may be different later: silence, SERVFAIL (which is also what a
// validating server says of a bogus answer), REFUSED, loops of CNAMEs.

// lookup asks for records at a name and reads them. Those that read refuses are
// passed over; an answer of nothing else is a failure.
func lookup[R mdns.RR, T any](
	ctx context.Context, r *Resolver, name string, qtype uint16, read func(R) (T, error),
) (Answer[T], error) {
	var a Answer[T]
	n, err := normal(name)
	if err != nil {
		return a, rookery.E("dns "+mdns.TypeToString[qtype], rookery.KindInvalid, err)
	}
	q := question{n, qtype}
	o, err := r.find(ctx, q)
	if err != nil {
		return a, err
	}
	a.Name, a.Secure = o.name, o.secure
	var bad error
	for _, rr := range o.records {
		typed, ok := rr.(R)
		if !ok {
			continue
		}
		t, err := read(typed)
		if err != nil {
			bad = err
			continue
		}
		a.Records = append(a.Records, t)
	}
	if len(a.Records) == 0 {
		return a, rookery.E("dns "+q.String(), rookery.KindUnavailable, fmt.Errorf("no record can be used: %w", cmp.Or(bad, errOther)))
	}
	return a, nil
}

var errOther = errors.New("they are of another type")

// MX finds a domain's mail exchangers, the most preferred first. ErrNullMX says
// that the domain takes no mail (RFC 7505 3); a null MX beside others is passed
// over.
func (r *Resolver) MX(ctx context.Context, domain string) (Answer[MX], error) {
	a, err := lookup(ctx, r, domain, mdns.TypeMX, func(rr *mdns.MX) (MX, error) {
		if rr.Mx == "." {
			return MX{Preference: rr.Preference}, nil
		}
		host, err := target(rr.Mx)
		return MX{rr.Preference, host}, err
	})
	if err != nil {
		return a, err
	}
	hosts := slices.DeleteFunc(slices.Clone(a.Records), func(m MX) bool { return m.Host == "" })
	if len(hosts) == 0 {
		return Answer[MX]{}, rookery.E("dns MX "+domain, rookery.KindDenied, ErrNullMX)
	}
	slices.SortStableFunc(hosts, func(a, b MX) int { return cmp.Compare(a.Preference, b.Preference) })
	a.Records = hosts
	return a, nil
}

// A finds a host's IPv4 addresses.
func (r *Resolver) A(ctx context.Context, host string) (Answer[netip.Addr], error) {
	return lookup(ctx, r, host, mdns.TypeA, func(rr *mdns.A) (netip.Addr, error) { return address(rr.A, 4) })
}

// AAAA finds a host's IPv6 addresses.
func (r *Resolver) AAAA(ctx context.Context, host string) (Answer[netip.Addr], error) {
	return lookup(ctx, r, host, mdns.TypeAAAA, func(rr *mdns.AAAA) (netip.Addr, error) { return address(rr.AAAA, 16) })
}

func address(ip []byte, octets int) (netip.Addr, error) {
	a, ok := netip.AddrFromSlice(ip)
	if !ok {
		return a, fmt.Errorf("an address of %d octets", len(ip))
	}
	if octets == 4 {
		a = a.Unmap()
	}
	return a, nil
}

// TXT finds a name's texts, each with its strings joined as they stand (RFC 7208
// 3.3). They may hold any octets.
func (r *Resolver) TXT(ctx context.Context, name string) (Answer[string], error) {
	return lookup(ctx, r, name, mdns.TypeTXT, func(rr *mdns.TXT) (string, error) {
		var b strings.Builder
		for _, s := range rr.Txt {
			b.WriteString(unescape(s))
		}
		return b.String(), nil
	})
}

// TLSA finds the certificate associations of a service over TCP (RFC 6698 3).
func (r *Resolver) TLSA(ctx context.Context, host string, port uint16) (Answer[TLSA], error) {
	name := fmt.Sprintf("_%d._tcp.%s", port, host)
	return lookup(ctx, r, name, mdns.TypeTLSA, func(rr *mdns.TLSA) (TLSA, error) {
		data, err := hex.DecodeString(rr.Certificate)
		return TLSA{rr.Usage, rr.Selector, rr.MatchingType, data}, err
	})
}

// CNAME finds what a name is an alias of (one step).
func (r *Resolver) CNAME(ctx context.Context, name string) (Answer[string], error) {
	return lookup(ctx, r, name, mdns.TypeCNAME, func(rr *mdns.CNAME) (string, error) { return target(rr.Target) })
}

// PTR finds the names of an address.
func (r *Resolver) PTR(ctx context.Context, a netip.Addr) (Answer[string], error) {
	name, err := mdns.ReverseAddr(a.Unmap().WithZone("").String())
	if err != nil {
		return Answer[string]{}, rookery.E("dns PTR", rookery.KindInvalid, err)
	}
	return lookup(ctx, r, name, mdns.TypePTR, func(rr *mdns.PTR) (string, error) { return target(rr.Ptr) })
}
