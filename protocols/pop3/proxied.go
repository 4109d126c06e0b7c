package pop3

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"rookery"
	"rookery/directory"
	"rookery/protocols/proxy"
)

// elsewhere hands the session of an account that is not served here to a node
// that serves it. handled is false where this node does.
func (s *session) elsewhere(ctx context.Context, entry directory.Entry) (handled bool, err error) {
	o := &s.c.server.o
	if o.Nodes == nil {
		return false, nil
	}
	quota := entry.Quota
	if quota == 0 {
		quota = o.DefaultQuota
	}
	id, err := o.Accounts.Ensure(ctx, entry.Owner(), quota)
	if err != nil {
		return true, err
	}
	here, err := o.Nodes.Here(ctx, id)
	if err != nil || here {
		return !here, err
	}
	p := proxy.Session{Protocol: proxy.POP3, Account: id, Login: entry.Login, Client: proxy.ClientOf(s.c.socket)}
	if entry.Primary != (rookery.Address{}) {
		p.Address = entry.Primary.String()
	}
	if t, ok := s.c.net.(*tls.Conn); ok {
		state := t.ConnectionState()
		p.TLS = tls.VersionName(state.Version) + " " + tls.CipherSuiteName(state.CipherSuite)
	}
	conn, text, err := o.Nodes.Open(ctx, p)
	if err != nil {
		return true, err
	}
	s.c.logger.Info("pop3: session goes on to another node", "user", entry.Login, "client", s.c.ip, "account", id.String())
	s.onward, s.signInBy = conn, time.Time{}
	s.c.ok("%s", text)
	return true, nil
}

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
	if why := s.conns.Admit(c); why != "" {
		refuse(rookery.KindLimit, fmt.Errorf("the node %s", why))
		return
	}
	defer s.conns.Release(c)
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
	o := &s.c.server.o
	ctx, cancel := context.WithTimeout(ctx, o.Limits.Work)
	defer cancel()
	a, err := o.Accounts.Open(ctx, p.Account)
	if err != nil {
		return err
	}
	if err := a.Sync(ctx); err != nil {
		return err
	}
	drop := &inbox{account: a}
	if s.listing, err = drop.list(ctx); err != nil {
		drop.rest()
		return err
	}
	s.settle(drop, &directory.Entry{Login: p.Login})
	s.c.logger.Info("pop3: session from another node", "user", p.Login, "client", s.c.ip, "tls", p.TLS, "messages", len(s.listing.messages))
	return nil
}

// settle begins the TRANSACTION state.
func (s *session) settle(drop maildrop, entry *directory.Entry) {
	s.drop, s.entry, s.signInBy = drop, entry, time.Time{}
	s.deleted = make(map[int]struct{})
	if b, ok := drop.(*inbox); ok {
		s.c.mu.Lock()
		s.c.account = b.account.ID()
		s.c.mu.Unlock()
	}
	for _, m := range s.listing.messages {
		s.bytes += uint64(m.size)
	}
}

// Leave ends the sessions of accounts that are not served here any more, each
// after the command that runs.
func (s *Server) Leave(gone func(rookery.AccountID) bool) {
	for _, c := range s.conns.All() {
		c.mu.Lock()
		id := c.account
		c.mu.Unlock()
		if id != (rookery.AccountID{}) && gone(id) {
			c.Drain()
		}
	}
}
