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
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"rookery"
	"rookery/protocols/signin"
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

	own     func(domain string) bool // nil: what senders has alone
	senders []Sender

	credential *Credential // nil where there is none
	rates      *rates
	clock      func() time.Time
}

// Take takes one recipient from what the client may send in this hour, and reports
// whether it was there.
func (g *Grant) Take() bool {
	return g.credential == nil || g.credential.Rate == 0 || g.rates.take(g.credential.Name, g.credential.Rate, g.clock())
}

// Rate is how many recipients the client may name in an hour; 0 is no bound.
func (g *Grant) Rate() uint32 {
	if g.credential == nil {
		return 0
	}
	return g.credential.Rate
}

// May reports whether the client may name an address as sender, of the envelope or
// in From; the zero address is the null sender.
func (g *Grant) May(a rookery.Address) bool {
	if a.Domain != "" && g.own != nil && g.own(a.Domain) {
		return true
	}
	return slices.ContainsFunc(g.senders, func(s Sender) bool { return s.matches(a) })
}

// Options are what a Gate is made of; Rules and Local are required.
type Options struct {
	// Rules are those in force.
	Rules func() Rules
	// Local reports whether a domain is this system's.
	Local func(domain string) bool
	// Credential gives the one of a name, as it is now; nil: there are none.
	Credential func(name string) (x Credential, found bool, err error)
	// Limits bound guessing, apart from those of people.
	Limits signin.Limits
	Logger *slog.Logger
	Clock  func() time.Time
}

// Gate gives grants. It is safe for concurrent use.
type Gate struct {
	o       Options
	signIns *signin.Authenticator
	rates   rates
}

// New makes a Gate. It does no I/O.
func New(o Options) *Gate {
	if o.Credential == nil {
		o.Credential = func(string) (Credential, bool, error) { return Credential{}, false, nil }
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	g := &Gate{o: o}
	g.signIns = signin.New(signin.Options{Directory: credentials{g}, Limits: o.Limits, Logger: o.Logger, Clock: o.Clock})
	return g
}

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
