package smtp

import (
	"net/netip"

	"rookery/protocols/listen"
)

// relaying looks whether the client may relay now.
func (s *session) relaying() *Reply {
	addr, err := netip.ParseAddr(listen.Host(s.conn.socket.RemoteAddr()))
	if s.grant = nil; err == nil {
		s.grant = s.server.o.Relays.Client(addr, s.conn.tls)
	}
	if s.grant == nil {
		return noGrant()
	}
	return nil
}

func noGrant() *Reply {
	return refuse(550, enhanced{5, 7, 1}, "This host may not relay here: its network or certificate is not among those that may")
}
