package outbound

import (
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"rookery"
	"rookery/protocols/outbound/session"
	"rookery/storage/queue"
)

// Settings say how mail goes to other systems.
type Settings struct {
	// Smarthost takes all mail; nil sends it where the recipients' domains say.
	Smarthost *Hop
	// Routes are next hops by recipient domain, in lower case as A-labels; they
	// go before Smarthost.
	Routes map[string]Hop
	// Connections bounds those to one destination.
	Connections int
	Schedule
}

// Hop is where a message goes next.
type Hop struct {
	// Name is a domain, or of a configured hop host or host:port.
	Name string
	// Configured says that Name is a host that somebody has set, not a domain
	// that says itself where its mail goes.
	Configured bool
	// TLS is what a configured hop asks of the connection.
	TLS session.TLSMode
	// Auth signs in, where it is set.
	Auth *session.Auth
}

// key tells destinations apart.
func (h Hop) key() string {
	if h.Configured {
		return "host " + strings.ToLower(h.Name)
	}
	return h.Name
}

// String names the hop to operators.
func (h Hop) String() string { return h.Name }

// route is the next hop of a recipient: what an operator has set for the row, what
// the directory says, the route of the domain, the smart host, the domain itself.
func (s *Settings) route(row *queue.Row, to queue.Recipient, addr rookery.Address) Hop {
	for _, name := range []string{row.NextHop, to.NextHop} {
		if name != "" {
			return Hop{Name: withPort(name), Configured: true}
		}
	}
	if h, ok := s.Routes[addr.Domain]; ok {
		return h
	}
	if s.Smarthost != nil {
		return *s.Smarthost
	}
	return Hop{Name: addr.Domain}
}

func withPort(name string) string {
	if _, _, err := net.SplitHostPort(name); err == nil {
		return name
	}
	return net.JoinHostPort(strings.Trim(name, "[]"), "25")
}

// Schedule says when what failed is tried again.
type Schedule struct {
	// First is the wait after the first attempt; each wait is twice the one
	// before, up to Most.
	First, Most time.Duration
	// Expire is the age at which a message that still fails goes back.
	Expire time.Duration
	// Notice is the age at which its sender is told that it is late.
	Notice time.Duration
}

// again is the wait after a number of failed attempts, up to a quarter more or
// less, so that what failed together does not come back together.
func (s *Schedule) again(tries uint32) time.Duration {
	wait := s.First
	for i := uint32(0); i < tries && wait < s.Most; i++ {
		wait *= 2
	}
	wait = min(wait, s.Most)
	return wait*3/4 + rand.N(wait/2+1)
}
