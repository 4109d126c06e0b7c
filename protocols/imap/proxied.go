package imap

import (
	"context"
	"io"
	"net"
	"time"

	"rookery"
	"rookery/protocols/proxy"
)

var errTooMany = no("LIMIT", "Too many connections of this account from this address")

// carry is the rest of a session that another node serves. What the client
// sent behind its sign-in goes first.
func (s *session) carry() step {
	if s.out.Flush() != nil {
		return nil
	}
	ahead := make([]byte, s.in.Buffered())
	if _, err := io.ReadFull(s.in, ahead); err != nil {
		return nil
	}
	s.in.Close()
	s.mu.Lock()
	s.waiting = true // ring interrupts the reading, which ends the session
	deadline := time.Time{}
	if s.rung {
		deadline = time.Unix(1, 0)
	}
	err := s.raw.SetReadDeadline(deadline)
	s.mu.Unlock()
	if err != nil {
		return nil
	}
	end := proxy.Carry(s.conn, s.onward, ahead, s.srv.limits.Write)
	switch {
	case !end.Farewell:
	case end.Left:
		s.farewell(errRung)
	default:
		s.out.Text("* BYE [UNAVAILABLE] The node that served this session has gone; connect again\r\n")
		s.out.Flush()
	}
	return nil
}

// Adopt serves a session that another node has signed in, and returns when it
// has ended. The password was checked there; whether the account is served
// here and has room for one more session is decided here.
func (srv *Server) Adopt(ctx context.Context, conn net.Conn, p proxy.Session) {
	s := newSession(srv, conn, Mode{})
	s.secure = true
	err := s.adopt(ctx, p)
	if err == nil && !srv.conns.Add(s) {
		err = rookery.E("adopt session", rookery.KindUnavailable, nil)
	}
	if err != nil {
		proxy.WriteAnswer(conn, "", err)
		srv.release(s)
		s.Cut()
		return
	}
	s.beforeWrite()
	if proxy.WriteAnswer(conn, srv.registry.capabilities(s), nil) != nil {
		s.Cut() // the first step finds out
	}
	go srv.run(s, s.commands)
	<-s.ctx.Done()
}

func (s *session) adopt(ctx context.Context, p proxy.Session) error {
	ctx, cancel := context.WithTimeout(ctx, s.srv.limits.Run)
	defer cancel()
	a, err := s.srv.o.Accounts.Open(ctx, p.Account)
	if err != nil {
		return err
	}
	if err := a.Sync(ctx); err != nil {
		return err
	}
	if err := s.open(ctx, a); err != nil {
		return err
	}
	if !s.srv.acquire(s, slot{p.Account, s.peer()}) {
		return rookery.E("adopt session", rookery.KindLimit, errTooMany)
	}
	s.login, s.state = p.Login, authenticated
	s.enter(p.Account)
	s.srv.log.Info("IMAP session from another node", "session", s.id, "peer", s.peer(), "login", p.Login, "account",
		p.Account.String(), "tls", p.TLS)
	return nil
}

// Leave ends the sessions of accounts that are not served here any more, each
// after the command that runs. Whoever has another node serve the session
// stays.
func (srv *Server) Leave(gone func(rookery.AccountID) bool) {
	open := srv.conns.All()
	srv.mu.Lock()
	all := make(map[*session]rookery.AccountID)
	for _, s := range open {
		if s.slot != (slot{}) {
			all[s] = s.slot.account
		}
	}
	srv.mu.Unlock()
	for s, id := range all {
		if gone(id) {
			s.leave("")
		}
	}
}

// ending reports whether the session is to end when it is idle.
func (s *session) ending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leaving || s.srv.conns.Draining()
}
