package node

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"rookery/cmd/node/settings"
	"rookery/protocols/dns"
)

// resolver is the node's one resolver: it asks the servers that the settings
// name, and keeps nothing of those that they named before.
type resolver struct {
	*dns.Resolver
	set atomic.Pointer[settings.Outbound]
}

func newResolver(set settings.Outbound, clock func() time.Time) *resolver {
	r := &resolver{}
	r.set.Store(&set)
	r.Resolver = dns.New(dns.Options{Servers: r.servers, Clock: clock})
	return r
}

// use asks the servers that the settings name from now on, one caller at a time.
func (r *resolver) use(set settings.Outbound) {
	old := r.set.Swap(&set)
	if !slices.Equal(old.Resolvers, set.Resolvers) || !slices.Equal(old.TrustedResolvers, set.TrustedResolvers) {
		r.Forget()
	}
}

// servers are those to ask.
func (r *resolver) servers() (all dns.Servers, err error) {
	set := r.set.Load()
	if len(set.Resolvers) == 0 {
		all, err = dns.ResolvConf("/etc/resolv.conf")()
	}
	for _, s := range set.Resolvers {
		a, err := netip.ParseAddrPort(s)
		if err != nil {
			return all, err // refused by the settings' check
		}
		all.Addrs = append(all.Addrs, a)
	}
	for _, s := range set.TrustedResolvers {
		if a, err := netip.ParseAddr(s); err == nil {
			all.Trusted = append(all.Trusted, a)
		}
	}
	return all, err
}
