package listen

import (
	"time"

	"rookery"
)

// Session is one of a client that has signed in and is served here, as operators
// see it.
type Session struct {
	// ID names the session in logs, Protocol is as package proxy has it, or smtp.
	ID       string `cbor:"1,keyasint"`
	Protocol string `cbor:"2,keyasint"`
	// Account is the one it has open; where none is, Entry is the key of the
	// directory entry that has signed in.
	Account rookery.AccountID `cbor:"3,keyasint"`
	Entry   string            `cbor:"4,keyasint,omitempty"`
	Login   string            `cbor:"5,keyasint,omitempty"`
	// Addr is the client's address without its port.
	Addr  string    `cbor:"6,keyasint,omitempty"`
	Since time.Time `cbor:"7,keyasint"`
}

// EndGrace is how long a client that is to go may finish what it is doing.
const EndGrace = 10 * time.Second

// End has a connection end in good order by drain, and cuts it where that takes
// longer than EndGrace.
func End(drain, cut func()) {
	drain()
	time.AfterFunc(EndGrace, cut)
}
