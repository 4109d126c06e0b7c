package edge

import (
	"slices"

	"rookery/protocols/listen"
)

// Clients are the sessions of those who have signed in and are served here.
func (e *Edge) Clients() []listen.Session {
	return slices.Concat(e.imap.Clients(), e.pop3.Clients(), e.smtp.Clients())
}

// EndClients ends the sessions that are picked, each after the command that
// runs, tells their clients why, a line of ASCII, and gives how many they are.
func (e *Edge) EndClients(pick func(listen.Session) bool, why string) int {
	return e.imap.End(pick, why) + e.pop3.End(pick, why) + e.smtp.End(pick, why)
}
