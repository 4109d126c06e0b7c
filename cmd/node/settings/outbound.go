package settings

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"rookery"
)

// Outbound says how mail goes to other systems.
type Outbound struct {
	// Smarthost takes all mail for other systems, like "relay.example.com:587" or
	// "192.0.2.1:25"; empty sends it to the hosts that the recipients' domains name.
	Smarthost string `toml:"smarthost" effect:"with the next attempt at each message"`
	// SmarthostTLS is what the smart host has to do: "opportunistic" uses TLS where
	// it is offered, "verified" wants a certificate for its name, "none" asks for no TLS.
	SmarthostTLS string `toml:"smarthost_tls" effect:"with the next connection"`
	// SmarthostUser signs in there, under "verified" TLS; empty does not sign in.
	SmarthostUser string `toml:"smarthost_user" effect:"with the next connection"`
	// SmarthostPassword is sealed when set and never shown again.
	SmarthostPassword string `toml:"smarthost_password" secret:"true" effect:"with the next connection"`
	// Routes are next hops of recipient domains, like "old.example.com=mail.old.example.com:25";
	// they go before the smart host.
	Routes []string `toml:"routes" effect:"with the next attempt at each message"`
	// Connections is the most connections of one node to one destination, 1 to 100.
	Connections int `toml:"connections"`
	// RetryFirst is the wait after a failed attempt, like "1m"; each later one is
	// twice as long, up to retry_most.
	RetryFirst string `toml:"retry_first"`
	// RetryMost is the longest wait between two attempts, like "4h".
	RetryMost string `toml:"retry_most"`
	// Expire is how long a message is tried before it goes back, like "120h".
	Expire string `toml:"expire"`
	// Notice is how old a message is when its sender is told that it is late, like
	// "4h"; "0s" is never.
	Notice string `toml:"notice"`
	// Retries are other schedules of recipient domains, like
	// "example.org=30s/10m/48h/1h": retry_first, retry_most, expire and notice.
	Retries []string `toml:"retries"`
	// TLSRequired are recipient domains, like "partner.example", whose mail goes only
	// to hosts that show a certificate for their name from a root of this machine, or
	// one that DANE names; else it waits, and goes back when it expires. What goes to
	// the smart host or by a route does not ask.
	TLSRequired []string `toml:"tls_required" effect:"within 5 seconds"`
	// Resolvers are the DNS servers to ask, like "127.0.0.1:53"; none are those of
	// /etc/resolv.conf.
	Resolvers []string `toml:"resolvers" effect:"with the next question"`
	// TrustedResolvers are the addresses of DNS servers that validate answers (DNSSEC)
	// and that nobody can stand in for on the way, like "10.0.0.53"; those on this
	// machine always count as such. DANE needs one.
	TrustedResolvers []string `toml:"trusted_resolvers" effect:"with the next question"`
	// PrivateAddresses lets mail go to domains whose hosts have addresses of private
	// networks or of this machine, as in a laboratory.
	PrivateAddresses bool `toml:"private_addresses"`
	// QueueMessages is the most messages that wait for other systems in the cluster;
	// past it senders are told to try again.
	QueueMessages int `toml:"queue_messages"`
	// QueueSize is the most bytes of messages that wait for other systems.
	QueueSize Size `toml:"queue_size"`
}

// DefaultOutbound is what keys that are left out mean.
func DefaultOutbound() Outbound {
	return Outbound{
		SmarthostTLS: "opportunistic", Routes: []string{}, TLSRequired: []string{}, Connections: 20, RetryFirst: "1m",
		RetryMost: "4h", Expire: "120h", Notice: "4h", Retries: []string{}, Resolvers: []string{}, TrustedResolvers: []string{},
		QueueMessages: 1_000_000, QueueSize: 20 << 30,
	}
}

func (o *Outbound) validate(bad report) {
	if o.Smarthost != "" && !hostPort(o.Smarthost) {
		bad("outbound.smarthost", "%q is no host with a port; write it like relay.example.com:587", o.Smarthost)
	}
	if !slices.Contains([]string{"opportunistic", "verified", "none"}, o.SmarthostTLS) {
		bad("outbound.smarthost_tls", "%q is unknown; use opportunistic, verified or none", o.SmarthostTLS)
	}
	if (o.SmarthostUser == "") != (o.SmarthostPassword == "") {
		bad("outbound.smarthost_user, outbound.smarthost_password", "only one of both is set; set both at once: rookery config get > FILE, "+
			"edit it, rookery config apply FILE")
	}
	if o.SmarthostUser != "" && o.SmarthostTLS != "verified" {
		bad("outbound.smarthost_tls", "%q would send the password to whoever answers; use verified", o.SmarthostTLS)
	}
	for _, r := range o.Routes {
		if _, _, ok := ParseRoute(r); !ok {
			bad("outbound.routes", "%q is no route; write it like old.example.com=mail.old.example.com:25", r)
		}
	}
	for _, r := range o.Retries {
		if _, _, ok := ParseRetries(r); !ok {
			bad("outbound.retries", "%q is no schedule of a domain; write it like example.org=30s/10m/48h/1h: the first wait and the longest "+
				"(1s or more), expire (1m or more) and notice (0s is never), each at most 2160h", r)
		}
	}
	for _, d := range o.TLSRequired {
		if normal, err := rookery.NormalDomain(d); err != nil || normal[0] == '[' {
			bad("outbound.tls_required", "%q is no domain; write it like partner.example", d)
		}
	}
	for _, r := range o.Resolvers {
		if _, err := netip.ParseAddrPort(r); err != nil {
			bad("outbound.resolvers", "%q is no address with a port; write it like 127.0.0.1:53", r)
		}
	}
	for _, r := range o.TrustedResolvers {
		if _, err := netip.ParseAddr(r); err != nil {
			bad("outbound.trusted_resolvers", "%q is no address; write it like 10.0.0.53, without a port", r)
		}
	}
	for _, c := range []struct {
		key           string
		val, min, max int64
	}{
		{"outbound.connections", int64(o.Connections), 1, 100},
		{"outbound.queue_messages", int64(o.QueueMessages), 1, 10_000_000},
		{"outbound.queue_size", int64(o.QueueSize), 1 << 20, 1 << 42},
	} {
		if c.val < c.min || c.val > c.max {
			bad(c.key, "%d is out of range; set it between %d and %d", c.val, c.min, c.max)
		}
	}
	for i, c := range [...]struct{ key, val string }{
		{"outbound.retry_first", o.RetryFirst}, {"outbound.retry_most", o.RetryMost}, {"outbound.expire", o.Expire},
		{"outbound.notice", o.Notice},
	} {
		if !waits(i, c.val) {
			bad(c.key, "%q is not between %v and 2160h; write it like 4h", c.val, leastWaits[i])
		}
	}
}

func hostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" {
		return false
	}
	n, err := strconv.Atoi(port)
	return err == nil && n > 0 && n < 65536
}

// ParseRoute reads one of Outbound.Routes: a domain, as A-labels, and its next hop.
func ParseRoute(s string) (domain, hop string, ok bool) {
	domain, hop, ok = strings.Cut(s, "=")
	if !ok || !hostPort(hop) {
		return "", "", false
	}
	domain, err := rookery.NormalDomain(domain)
	return domain, hop, err == nil
}
