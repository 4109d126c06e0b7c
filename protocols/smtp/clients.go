package smtp

import (
	"time"

	"rookery/directory"
	"rookery/protocols/listen"
)

// enter notes who has signed in.
func (c *conn) enter(id string, e *directory.Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.who = listen.Session{ID: id, Protocol: "smtp", Entry: e.Key, Login: e.Login, Addr: c.ip, Since: time.Now()}
}

// client is who has signed in; its ID is empty where nobody has.
func (c *conn) client() listen.Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.who
}

// why says why the session is ended from outside, empty where it is not.
func (c *conn) why() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.goodbye
}

// Clients are those that have signed in.
func (s *Server) Clients() (all []listen.Session) {
	for _, c := range s.conns.All() {
		if who := c.client(); who.ID != "" {
			all = append(all, who)
		}
	}
	return all
}

// End ends the sessions of clients that are picked, each after the transaction
// that runs, and tells them why, a line of ASCII. It gives how many they are.
func (s *Server) End(pick func(listen.Session) bool, why string) (ended int) {
	for _, c := range s.conns.All() {
		if who := c.client(); who.ID == "" || !pick(who) {
			continue
		}
		ended++
		c.mu.Lock()
		c.goodbye = why
		c.mu.Unlock()
		listen.End(c.Drain, c.Cut)
	}
	return ended
}
