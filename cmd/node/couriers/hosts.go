package couriers

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"rookery"
	"rookery/protocols/dns"
	"rookery/protocols/outbound"
	"rookery/protocols/outbound/destination"
	"rookery/protocols/outbound/session"
	"rookery/protocols/outbound/tlspolicy"
)

// questions bounds the questions to the DNS that one attempt may lead to.
const questions = 100

// Find implements outbound.Finder.
func (s *Service) Find(ctx context.Context, hop outbound.Hop) ([]outbound.Host, error) {
	ctx = dns.WithBudget(ctx, questions)
	host, port := hop.Name, uint16(25)
	find := s.finder.Domain
	if hop.Configured {
		name, p, err := net.SplitHostPort(hop.Name)
		n, perr := strconv.ParseUint(p, 10, 16)
		if err != nil || perr != nil {
			return nil, rookery.E("find next hop", rookery.KindInvalid, fmt.Errorf("%q is no host with a port", hop.Name))
		}
		host, port, find = name, uint16(n), s.finder.Host
	}
	d, err := find(ctx, host)
	if err != nil {
		return nil, err
	}
	var all []outbound.Host
	for _, h := range d.Hosts {
		policy := func(ctx context.Context) (tlspolicy.Policy, error) {
			return s.owed(dns.WithBudget(ctx, questions), hop, d, h, port)
		}
		for _, a := range h.Addrs {
			all = append(all, outbound.Host{Peer: session.Peer{Name: h.Name, Addr: netip.AddrPortFrom(a, port)}, Policy: policy})
		}
	}
	return all, nil
}

// owed is the TLS that a host is owed. Of a configured hop the setting decides,
// where it says more than "opportunistic".
func (s *Service) owed(ctx context.Context, hop outbound.Hop, d destination.Destination, h destination.Host, port uint16) (
	tlspolicy.Policy, error) {
	if hop.Configured && hop.TLS != session.Opportunistic {
		p := tlspolicy.Policy{TLS: session.TLSPolicy{Mode: hop.TLS}, Why: "outbound.smarthost_tls wants it"}
		if hop.TLS == session.Verified {
			p.Source = tlspolicy.Required
		}
		return p, nil
	}
	sts, err := s.policies.Domain(ctx, d)
	if err != nil {
		return tlspolicy.Policy{Source: tlspolicy.STSEnforce}, err
	}
	return s.policies.Host(ctx, d, sts, h, port)
}

// Required says for which domains verified TLS is required.
func (s *Service) Required(domain string) bool {
	return slices.ContainsFunc(s.o.Settings.Outbound().TLSRequired, func(set string) bool {
		normal, err := rookery.NormalDomain(set)
		return err == nil && normal == domain
	})
}

// Self is what this node is, so that mail does not come back to it.
func (s *Service) Self() destination.Self {
	self := destination.Self{Names: []string{strings.ToLower(s.o.Hostname)}, Private: s.o.Settings.Outbound().PrivateAddresses}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		self.IPv4 = true
	}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(n.IP)
		if ip = ip.Unmap(); !ok || ip.IsLoopback() || ip.IsLinkLocalUnicast() {
			continue
		}
		self.Addrs = append(self.Addrs, ip)
		self.IPv4 = self.IPv4 || ip.Is4()
		// An address of its own network only reaches nobody outside.
		self.IPv6 = self.IPv6 || ip.Is6() && ip.IsGlobalUnicast() && !ip.IsPrivate()
	}
	if nodes, err := s.o.Replicas.System().Nodes(); err == nil {
		for _, n := range nodes {
			host, _, err := net.SplitHostPort(n.Address)
			if err != nil {
				continue
			}
			if ip, err := netip.ParseAddr(host); err == nil {
				self.Addrs = append(self.Addrs, ip.Unmap())
			} else {
				self.Names = append(self.Names, strings.ToLower(host))
			}
		}
	}
	return self
}
