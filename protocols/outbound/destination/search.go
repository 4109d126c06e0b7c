package destination

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"rookery"
	"rookery/protocols/dns"
)

// search is one way from MX records to hosts, and what was left out on it.
type search struct {
	f    *Finder
	self Self

	failed    error // a lookup that may be answered later
	loop      bool  // we are one of the hosts
	notPublic bool  // an address was left out
	family    bool  // an address was left out for want of its family
}

// candidate is a host before it is known whether it can be used.
type candidate struct {
	Host
	ours bool // one of its addresses is ours
	errs [2]error
}

// hosts are those to try.
func (s *search) hosts(ctx context.Context, records []dns.MX) []Host {
	records = s.beforeUs(once(records[:min(len(records), maxNames)]))
	s.mix(records)
	all := make([]candidate, min(len(records), maxHosts))
	var looked sync.WaitGroup
	for i := range all {
		all[i].Name, all[i].Preference = records[i].Host, records[i].Preference
		looked.Go(func() { s.look(ctx, &all[i]) })
	}
	looked.Wait()
	limit := -1
	for _, c := range all {
		if c.ours {
			s.loop = true
			if limit < 0 || int(c.Preference) < limit {
				limit = int(c.Preference)
			}
		}
	}
	var hosts []Host
	left := maxAddrs
	for _, c := range all {
		if limit >= 0 && int(c.Preference) >= limit {
			continue
		}
		s.note(c)
		c.Addrs = s.order(c.Addrs)
		c.Addrs = c.Addrs[:min(len(c.Addrs), maxHostAddrs, left)]
		if left -= len(c.Addrs); len(c.Addrs) > 0 {
			hosts = append(hosts, c.Host)
		}
	}
	return hosts
}

// once drops all but the most preferred record of each host.
func once(records []dns.MX) []dns.MX {
	sorted := slices.Clone(records)
	slices.SortStableFunc(sorted, func(a, b dns.MX) int { return cmp.Compare(a.Preference, b.Preference) })
	seen := map[string]bool{}
	return slices.DeleteFunc(sorted, func(m dns.MX) bool {
		again := seen[m.Host]
		seen[m.Host] = true
		return again
	})
}

// beforeUs are the records that are preferred to every one that names us: mail
// goes towards the most preferred host, never back (RFC 5321 5.1).
func (s *search) beforeUs(records []dns.MX) []dns.MX {
	for _, m := range records {
		if slices.Contains(s.self.Names, m.Host) {
			s.loop = true
			return slices.DeleteFunc(records, func(o dns.MX) bool { return o.Preference >= m.Preference })
		}
	}
	return records
}

// mix puts hosts of one preference into a random order.
func (s *search) mix(records []dns.MX) {
	for begin := 0; begin < len(records); {
		end := begin
		for end < len(records) && records[end].Preference == records[begin].Preference {
			end++
		}
		same := records[begin:end]
		s.f.shuffle(len(same), func(i, j int) { same[i], same[j] = same[j], same[i] })
		begin = end
	}
}

// look finds a candidate's addresses, of both families.
func (s *search) look(ctx context.Context, c *candidate) {
	var six dns.Answer[netip.Addr]
	var other sync.WaitGroup
	other.Go(func() { six, c.errs[1] = s.f.resolver.AAAA(ctx, c.Name) })
	four, err := s.f.resolver.A(ctx, c.Name)
	other.Wait()
	c.errs[0] = err
	c.Canonical, c.Secure = c.Name, true
	for i, a := range []dns.Answer[netip.Addr]{four, six} {
		if c.errs[i] != nil {
			continue
		}
		c.Canonical, c.Secure = a.Name, c.Secure && a.Secure
		for _, addr := range a.Records {
			addr = addr.Unmap()
			c.Addrs = append(c.Addrs, addr)
			c.ours = c.ours || slices.Contains(s.self.Addrs, addr)
		}
	}
}

// note keeps what a lookup failed with. Where one family is known the other's
// failure is none.
func (s *search) note(c candidate) {
	for _, err := range c.errs {
		if err != nil && len(c.Addrs) == 0 && !rookery.Is(err, rookery.KindNotFound) && !rookery.Is(err, rookery.KindInvalid) {
			s.failed = err
		}
	}
}

// order drops the addresses that cannot be used and lets the families alternate,
// each in a random order.
func (s *search) order(addrs []netip.Addr) []netip.Addr {
	var families [2][]netip.Addr // IPv6, IPv4
	for _, a := range addrs {
		switch {
		case !Usable(a, s.self.Private):
			s.notPublic = true
		case a.Is4() && s.self.IPv4:
			families[1] = append(families[1], a)
		case !a.Is4() && s.self.IPv6:
			families[0] = append(families[0], a)
		default:
			s.family = true
		}
	}
	var all []netip.Addr
	for _, f := range families {
		s.f.shuffle(len(f), func(i, j int) { f[i], f[j] = f[j], f[i] })
	}
	for i := range max(len(families[0]), len(families[1])) {
		for _, f := range families {
			if i < len(f) {
				all = append(all, f[i])
			}
		}
	}
	return all
}

// none is why there is no host. What may be otherwise later comes first.
func (s *search) none(op string) error {
	switch {
	case s.failed != nil:
		return rookery.E(op, rookery.KindUnavailable, s.failed)
	case s.family:
		return rookery.E(op, rookery.KindUnavailable, errFamily)
	case s.loop:
		return rookery.E(op, rookery.KindDenied, ErrLoop)
	case s.notPublic:
		return rookery.E(op, rookery.KindDenied, ErrNotPublic)
	}
	return rookery.E(op, rookery.KindNotFound, ErrNoHost)
}

var errFamily = errors.New("the hosts have addresses of a family only from which this node does not send")

// literal is a destination by its address (RFC 5321 4.1.3).
func literal(op, domain string, self Self) (Destination, error) {
	a, err := parseLiteral(domain)
	if err != nil {
		return Destination{}, rookery.E(op, rookery.KindInvalid, err)
	}
	s := search{self: self, f: &Finder{shuffle: func(int, func(int, int)) {}}}
	if s.loop = slices.Contains(self.Addrs, a); s.loop {
		return Destination{}, s.none(op)
	}
	addrs := s.order([]netip.Addr{a})
	if len(addrs) == 0 {
		return Destination{}, s.none(op)
	}
	return Destination{Domain: domain, Hosts: []Host{{Addrs: addrs}}}, nil
}

var errLiteral = errors.New("is no address literal")

func parseLiteral(s string) (netip.Addr, error) {
	text := s[1 : len(s)-1]
	six := len(text) > 5 && (text[:5] == "IPv6:" || text[:5] == "ipv6:")
	if six {
		text = text[5:]
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Is4() == six || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%.80q %w", s, errLiteral)
	}
	return a.Unmap(), nil
}

func bracket(a netip.Addr) string {
	if a = a.Unmap().WithZone(""); a.Is4() {
		return "[" + a.String() + "]"
	}
	return "[IPv6:" + a.String() + "]"
}
