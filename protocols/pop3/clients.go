package pop3

import (
	"time"

	"rookery"
	"rookery/protocols/listen"
	"rookery/protocols/proxy"
)

// enter notes who has signed in.
func (c *conn) enter(id rookery.AccountID, login string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.who = listen.Session{ID: c.id, Protocol: proxy.POP3, Account: id, Login: login, Addr: c.ip, Since: time.Now()}
}

// client is who has signed in; its ID is empty where nobody has, or another
// node serves the session.
func (c *conn) client() listen.Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.who
}

// why says why the session is ended from outside, empty where it is not.
func (c *conn) why() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// Clients are those that have signed in and are served here.
func (s *Server) Clients() (all []listen.Session) {
	for _, c := range s.conns.All() {
		if who := c.client(); who.ID != "" {
			all = append(all, who)
		}
	}
	return all
}

// End ends the sessions of clients that are picked, each after the command that
// runs, and tells them why, a line of ASCII. It gives how many they are.
func (s *Server) End(pick func(listen.Session) bool, why string) (ended int) {
	for _, c := range s.conns.All() {
		if who := c.client(); who.ID == "" || !pick(who) {
			continue
		}
		ended++
		c.mu.Lock()
		c.ended = why
		c.mu.Unlock()
		listen.End(c.Drain, c.Cut)
	}
	return ended
}
