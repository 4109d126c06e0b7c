package pop3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"rookery"
	"rookery/protocols/proxy"
)

// carry is the rest of a session that another node serves. What the client
// sent behind its sign-in goes first.
func (c *conn) carry() {
	defer c.session.onward.Close()
	if c.w.Flush() != nil {
		return
	}
	ahead := make([]byte, c.r.Buffered())
	c.r.Read(ahead) // gives all that is buffered
	c.mu.Lock()
	c.idle = true // drain interrupts the reading, which ends the session
	deadline := time.Time{}
	if c.draining {
		deadline = time.Unix(1, 0)
	}
	err := c.socket.SetReadDeadline(deadline)
	c.mu.Unlock()
	if err != nil {
		return
	}
	if end := proxy.Carry(c.net, c.session.onward, ahead, c.server.o.Limits.Stall); end.Asked {
		c.err("[SYS/TEMP] The node that served this session has gone, try again later")
		c.w.Flush()
	}
}

// Adopt serves a session that another node has signed in, and returns when it
// has ended.
func (s *Server) Adopt(ctx context.Context, nc net.Conn, p proxy.Session) {
	defer nc.Close()
	c := newConn(s, nc, &listener{mode: TLS})
	refuse := func(kind rookery.Kind, why error) { proxy.WriteAnswer(nc, "", rookery.E("adopt session", kind, why)) }
	if !s.conns.Add(c) {
		refuse(rookery.KindUnavailable, errors.New("the node is shutting down"))
		return
	}
	defer s.conns.Remove(c)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.begin()
	defer c.session.end()
	c.use(nc)
	c.secure = true
	if err := c.session.adopt(ctx, p); err != nil {
		refuse(0, err)
		return
	}
	if proxy.WriteAnswer(nc, fmt.Sprintf("%d messages", len(c.session.listing.messages)), nil) == nil {
		c.commands(ctx)
	}
}

func (s *session) adopt(ctx context.Context, p proxy.Session) error {
	ctx, cancel := context.WithTimeout(ctx, s.c.server.o.Limits.Work)
	defer cancel()
	if err := s.take(ctx, p.Account, p.Login); err != nil {
		return err
	}
	s.c.logger.Info("pop3: session from another node", "user", p.Login, "client", s.c.ip, "tls", p.TLS, "messages", len(s.listing.messages))
	return nil
}

// Leave ends the sessions of accounts that are not served here any more, each
// after the command that runs.
func (s *Server) Leave(gone func(rookery.AccountID) bool) {
	for _, c := range s.conns.All() {
		if who := c.client(); who.ID != "" && gone(who.Account) {
			c.Drain()
		}
	}
}
