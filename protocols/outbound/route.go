package outbound

import (
	"net"
	"strings"

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
	// Schedule is that of mail for domains that Schedules does not name.
	Schedule
	// Schedules are those of recipient domains, in lower case as A-labels.
	Schedules map[string]Schedule
}

// schedule is that of a recipient.
func (s *Settings) schedule(to rookery.Address) Schedule {
	if of, ok := s.Schedules[to.Domain]; ok {
		return of
	}
	return s.Schedule
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

// same says that a connection to one is one to the other.
func (h Hop) same(o Hop) bool {
	return h.Name == o.Name && h.Configured == o.Configured && h.TLS == o.TLS && (h.Auth == nil) == (o.Auth == nil) &&
		(h.Auth == nil || *h.Auth == *o.Auth)
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
