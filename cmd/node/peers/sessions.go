package peers

import (
	"rookery"
	"rookery/protocols/listen"
)

// SessionFilter picks sessions of clients; what is empty picks all.
type SessionFilter struct {
	Account  rookery.AccountID `cbor:"1,keyasint"`
	Protocol string            `cbor:"2,keyasint,omitempty"`
	ID       string            `cbor:"3,keyasint,omitempty"`
}

// Takes reports whether a session is picked.
func (f *SessionFilter) Takes(c listen.Session) bool {
	return (f.Account == (rookery.AccountID{}) || f.Account == c.Account) && (f.Protocol == "" || f.Protocol == c.Protocol) &&
		(f.ID == "" || f.ID == c.ID)
}

// Sessions are those of a node, and how many more it has.
type Sessions struct {
	Sessions []listen.Session `cbor:"1,keyasint,omitempty"`
	More     int              `cbor:"2,keyasint,omitempty"`
}

// Count is how many there are.
type Count int
