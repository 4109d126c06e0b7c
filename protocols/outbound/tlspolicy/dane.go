package tlspolicy

import (
	"context"

	"rookery"
	"rookery/protocols/dns"
	"rookery/protocols/outbound/destination"
)

// dane finds a host's TLSA records and the name that they are for (RFC 7672
// 2.2); without records, why says why not. The MX records that led to the host
// must have been validated: else anybody could have named another one. A route
// is the administrator's word, and a domain without MX names itself.
func (f *Finder) dane(
	ctx context.Context, d destination.Destination, h destination.Host, port uint16,
) (base string, records []dns.TLSA, why string, err error) {
	if !d.Secure && !d.Implicit && !d.Route {
		return "", nil, "no DANE: the MX records are not validated", nil
	}
	bases, err := f.bases(ctx, h)
	if err != nil {
		return "", nil, "", err
	}
	if len(bases) == 0 {
		return "", nil, "no DANE: the host's addresses are not validated", nil
	}
	for _, b := range bases {
		a, err := f.o.Resolver.TLSA(ctx, b, port)
		switch {
		case rookery.Is(err, rookery.KindNotFound):
		case err != nil:
			return "", nil, "", err
		case a.Secure:
			return b, a.Records, "", nil
		}
	}
	return "", nil, "no DANE: the host has no validated TLSA records", nil
}

// bases are the names under which TLSA records may be, in their order: the one
// that CNAMEs lead to where all of the way was validated, then the host's own
// where its alias at least was (RFC 7672 2.2.2).
func (f *Finder) bases(ctx context.Context, h destination.Host) ([]string, error) {
	alias := h.Canonical != "" && h.Canonical != h.Name
	switch {
	case h.Secure && alias:
		return []string{h.Canonical, h.Name}, nil
	case h.Secure:
		return []string{h.Name}, nil
	case !alias:
		return nil, nil
	}
	a, err := f.o.Resolver.CNAME(ctx, h.Name)
	switch {
	case rookery.Is(err, rookery.KindNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case a.Secure:
		return []string{h.Name}, nil
	}
	return nil, nil
}
