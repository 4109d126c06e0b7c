package destination

import "net/netip"

// local are the blocks that are no addresses of hosts on the Internet, beside
// those that netip knows (RFC 6890).
var local = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),     // this network
	netip.MustParsePrefix("100.64.0.0/10"), // carriers' own (RFC 6598)
	netip.MustParsePrefix("192.0.0.0/24"),  // protocol assignments
	netip.MustParsePrefix("240.0.0.0/4"),   // reserved, and broadcast
	netip.MustParsePrefix("fec0::/10"),     // site-local, of old
}

// embedded are the blocks of IPv6 that hold an IPv4 address, and where in it the
// address begins: it decides.
var embedded = []struct {
	block netip.Prefix
	at    int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, // NAT64 (RFC 6052)
	{netip.MustParsePrefix("2002::/16"), 2},     // 6to4 (RFC 3056)
	{netip.MustParsePrefix("::/96"), 12},        // IPv4-compatible, of old
}

// Usable says whether mail may be sent to an address. Those that name no single
// host are never used, those that are not public only where private allows them.
func Usable(a netip.Addr, private bool) bool {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return false
	}
	return private || public(a)
}

func public(a netip.Addr) bool {
	if a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() {
		return false
	}
	for _, p := range local {
		if p.Contains(a) {
			return false
		}
	}
	for _, e := range embedded {
		if e.block.Contains(a) {
			b := a.As16()
			return public(netip.AddrFrom4([4]byte(b[e.at : e.at+4])))
		}
	}
	return true
}
