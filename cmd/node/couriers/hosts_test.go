package couriers

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"rookery/protocols/outbound/destination"
)

// What a host has says where it can send from.
func TestOwnAddresses(t *testing.T) {
	for _, c := range []struct {
		name       string
		addrs      []string
		private    bool
		ipv4, ipv6 bool
		own        []string
	}{
		{"both", []string{"127.0.0.1/8", "192.0.2.7/24", "::1/128", "fe80::1/64", "2001:db8::7/64"}, false, true, true,
			[]string{"192.0.2.7", "2001:db8::7"}},
		{"IPv6 of its own network", []string{"192.0.2.7/24", "fd00::7/64"}, false, true, false, []string{"192.0.2.7", "fd00::7"}},
		{"IPv6 alone", []string{"127.0.0.1/8", "2001:db8::7/64"}, true, false, true, []string{"2001:db8::7"}},
		{"loopback alone", []string{"127.0.0.1/8", "::1/128"}, false, false, false, nil},
		{"loopback alone, where what runs there may get mail", []string{"127.0.0.1/8", "::1/128"}, true, true, false, nil},
	} {
		var addrs []net.Addr
		for _, text := range c.addrs {
			ip, n, err := net.ParseCIDR(text)
			if err != nil {
				t.Fatal(err)
			}
			addrs = append(addrs, &net.IPNet{IP: ip, Mask: n.Mask})
		}
		self := destination.Self{Private: c.private}
		own(&self, addrs)
		want := []netip.Addr{}
		for _, text := range c.own {
			want = append(want, netip.MustParseAddr(text))
		}
		if self.IPv4 != c.ipv4 || self.IPv6 != c.ipv6 || !slices.Equal(self.Addrs, want) {
			t.Errorf("%s: IPv4 %v, IPv6 %v, own %v", c.name, self.IPv4, self.IPv6, self.Addrs)
		}
	}
}
