package signing

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"rookery/protocols/dns"
	"rookery/protocols/outbound/publish"
)

// Resolver is the node's resolver as publish asks it.
type Resolver struct{ DNS *dns.Resolver }

var _ publish.Resolver = Resolver{}

// MX implements publish.Resolver.
func (r Resolver) MX(ctx context.Context, domain string) (list []publish.Exchanger, err error) {
	a, err := r.DNS.MX(ctx, domain)
	if errors.Is(err, dns.ErrNullMX) {
		err = fmt.Errorf("%w: %w", publish.ErrNullMX, err)
	}
	for _, mx := range a.Records {
		list = append(list, publish.Exchanger(mx))
	}
	return list, err
}

// Addresses implements publish.Resolver.
func (r Resolver) Addresses(ctx context.Context, host string, six bool) ([]netip.Addr, error) {
	if six {
		a, err := r.DNS.AAAA(ctx, host)
		return a.Records, err
	}
	a, err := r.DNS.A(ctx, host)
	return a.Records, err
}

// TXT implements publish.Resolver.
func (r Resolver) TXT(ctx context.Context, name string) ([]string, error) {
	a, err := r.DNS.TXT(ctx, name)
	return a.Records, err
}

// PTR implements publish.Resolver.
func (r Resolver) PTR(ctx context.Context, address netip.Addr) ([]string, error) {
	a, err := r.DNS.PTR(ctx, address)
	return a.Records, err
}
