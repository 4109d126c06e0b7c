package imap

import (
	"time"

	"rookery"
	"rookery/protocols/listen"
	"rookery/protocols/proxy"
)

// enter notes who has signed in.
func (s *session) enter(id rookery.AccountID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.who = listen.Session{ID: s.id, Protocol: proxy.IMAP, Account: id, Login: s.login, Addr: s.peer(), Since: time.Now()}
}

// client is who has signed in; its ID is empty where nobody has, or another
// node serves the session.
func (s *session) client() listen.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.who
}

// why says why the session is ended from outside, empty where it is not.
func (s *session) why() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// Clients are those that have signed in and are served here.
func (srv *Server) Clients() (all []listen.Session) {
	for _, s := range srv.conns.All() {
		if c := s.client(); c.ID != "" {
			all = append(all, c)
		}
	}
	return all
}

// End ends the sessions of clients that are picked, each after the command that
// runs, and tells them why, a line of ASCII. It gives how many they are.
func (srv *Server) End(pick func(listen.Session) bool, why string) (ended int) {
	for _, s := range srv.conns.All() {
		c := s.client()
		if c.ID == "" || !pick(c) {
			continue
		}
		ended++
		listen.End(func() { s.leave(why) }, s.Cut)
	}
	return ended
}

// leave has the session end when it is idle.
func (s *session) leave(why string) {
	s.mu.Lock()
	s.leaving = true
	if s.ended == "" {
		s.ended = why
	}
	s.mu.Unlock()
	s.ring()
}
