package smtp

import (
	"fmt"
	"net/netip"

	"rookery/protocols/listen"
	"rookery/protocols/relay"
)

// relaying looks whether the client may relay now: by the credential that it has
// signed in with, else by where it is.
func (s *session) relaying() *Reply {
	var err error
	if s.grant, err = s.server.o.Relays.Renew(s.signed); err != nil {
		s.cause = err
		refusal := doubt(err)
		return &refusal
	}
	addr, err := netip.ParseAddr(listen.Host(s.conn.socket.RemoteAddr()))
	if s.grant == nil && s.signed == nil && err == nil {
		s.grant = s.server.o.Relays.Client(addr, s.conn.tls)
	}
	if s.grant == nil {
		return noGrant()
	}
	return nil
}

func noGrant() *Reply {
	return refuse(550, enhanced{5, 7, 1},
		"This host may not relay here: it has not signed in, and its network or certificate is not among those that may")
}

// overRate answers who sends more than it may. A client waits and tries again.
func overRate(g *relay.Grant) *Reply {
	return refuse(450, enhanced{4, 7, 1}, fmt.Sprintf("More than %d recipients in an hour; try again later", g.Rate()))
}
