// Package relay says which applications and devices may send mail through the
// relay listener: by network, by client certificate, or by a relay credential. It
// owns the grant that each of them gets, with the senders that it may name and how
// much it may send, and the bounds that keep a cluster from being an open relay.
//
// It never speaks SMTP, never routes, and keeps nothing: the rules are the
// cluster's settings, credentials are rows of the system group.
package relay

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"rookery"
)

// Fingerprint is the SHA-256 of a certificate in DER.
type Fingerprint [sha256.Size]byte

// Rules say who may relay without a credential.
type Rules struct {
	// Networks are canonical: see ParseNetwork.
	Networks []netip.Prefix
	// Certificates may be expired: they are pinned, each by its fingerprint.
	Certificates []Fingerprint
	// Senders are what both may name as senders besides addresses of the
	// cluster's own domains.
	Senders []Sender
}

// Grant lets a client relay. It is a value: what it says was true when it was
// given.
type Grant struct {
	// Name is what logs say of the client.
	Name string

	own     func(domain string) bool // nil: what Senders has alone
	senders []Sender
}

// May reports whether the client may name an address as sender, of the envelope or
// in From; the zero address is the null sender.
func (g *Grant) May(a rookery.Address) bool {
	if a.Domain != "" && g.own != nil && g.own(a.Domain) {
		return true
	}
	return slices.ContainsFunc(g.senders, func(s Sender) bool { return s.matches(a) })
}

// Options are what a Gate is made of; all are required.
type Options struct {
	// Rules are those in force.
	Rules func() Rules
	// Local reports whether a domain is this system's.
	Local func(domain string) bool
}

// Gate gives grants. It is safe for concurrent use.
type Gate struct{ o Options }

// New makes a Gate. It does no I/O.
func New(o Options) *Gate { return &Gate{o: o} }

// Client gives the grant of a client that has not signed in, by the rules of this
// moment: nil where it may not relay. state is nil in clear; that its certificate's
// key is the client's, the handshake has proven.
func (g *Gate) Client(addr netip.Addr, state *tls.ConnectionState) *Grant {
	rules := g.o.Rules()
	if state != nil && len(state.PeerCertificates) > 0 {
		print := Fingerprint(sha256.Sum256(state.PeerCertificates[0].Raw))
		if slices.Contains(rules.Certificates, print) {
			return &Grant{Name: fmt.Sprintf("certificate %x", print[:8]), own: g.o.Local, senders: rules.Senders}
		}
	}
	addr = addr.Unmap().WithZone("")
	for _, n := range rules.Networks {
		if n.Contains(addr) {
			return &Grant{Name: "network " + n.String(), own: g.o.Local, senders: rules.Senders}
		}
	}
	return nil
}

// The widest networks that may relay, in bits of their prefix. The unique local
// and link-local networks of IPv6 are nobody else's, however wide.
const (
	widest4 = 8
	widest6 = 32
)

var private6 = []netip.Prefix{netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("fe80::/10")}

// ParseNetwork reads a network that may relay, like "192.0.2.0/24", or one address.
// One so wide that strangers are in it is refused, so that no list of them can hold
// the whole internet by mistake.
func ParseNetwork(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, failed := netip.ParseAddr(s)
		if failed != nil || a.Zone() != "" {
			return p, errors.New("it is no network; write it like 192.0.2.0/24 or 2001:db8::/64")
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if p.Addr().Is4In6() {
		return p, errors.New("it is an IPv4 network in IPv6 notation; write it like 192.0.2.0/24")
	}
	p = p.Masked()
	inside := func(n netip.Prefix) bool { return n.Contains(p.Addr()) && n.Bits() <= p.Bits() }
	switch {
	case p.Addr().Is4() && p.Bits() < widest4:
		return p, fmt.Errorf("it would let strangers relay; a network has at least %d bits", widest4)
	case p.Addr().Is6() && p.Bits() < widest6 && !slices.ContainsFunc(private6, inside):
		return p, fmt.Errorf("it would let strangers relay; a network has at least %d bits", widest6)
	}
	return p, nil
}
