package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	mdns "github.com/miekg/dns"
)

// maxServers is how many servers are looked at; resolv.conf(5) knows three.
const maxServers = 8

// Servers are recursive servers, asked in their order, the one that answered
// last first.
type Servers struct {
	Addrs []netip.AddrPort
	// Trusted are those of Addrs, at any port, that validate and whose answers
	// nobody can alter on their way: their AD bit is believed (RFC 6840 5.8).
	// A server on loopback is trusted without being named.
	Trusted []netip.Addr
}

// server is one of Servers.
type server struct {
	addr    netip.AddrPort
	trusted bool // its AD bit is believed
}

// Fixed is a constant list for Options.Servers.
func Fixed(s Servers) func() (Servers, error) {
	return func() (Servers, error) { return s, nil }
}

// ResolvConf reads the name servers of a file in the form of resolv.conf(5),
// each time it is called, so that a changed file needs no restart.
func ResolvConf(path string) func() (Servers, error) {
	return func() (Servers, error) {
		c, err := mdns.ClientConfigFromFile(path)
		if err != nil {
			return Servers{}, fmt.Errorf("read the DNS servers: %w", err)
		}
		var s Servers
		for _, text := range c.Servers {
			// Whatever is no address is passed over, as the C library does.
			if a, err := netip.ParseAddr(text); err == nil {
				s.Addrs = append(s.Addrs, netip.AddrPortFrom(a, 53))
			}
		}
		if len(s.Addrs) == 0 {
			return Servers{}, fmt.Errorf("%s names no DNS server", path)
		}
		return s, nil
	}
}

// list are the servers to ask, the one that answered last first.
func (r *Resolver) list() ([]server, error) {
	s, err := r.o.Servers()
	if err != nil {
		return nil, err
	}
	if len(s.Addrs) == 0 {
		return nil, errors.New("no DNS server is set")
	}
	var list []server
	last := r.last.Load()
	first := 0
	for i, a := range s.Addrs[:min(len(s.Addrs), maxServers)] {
		list = append(list, server{a, a.Addr().Unmap().IsLoopback() || slices.Contains(s.Trusted, a.Addr())})
		if last != nil && last.addr == a {
			first = i
		}
	}
	return append(list[first:len(list):len(list)], list[:first]...), nil
}
