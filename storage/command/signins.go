package command

import "rookery"

// MaxSignIns bounds the sign-ins of one NoteSignIns.
const MaxSignIns = 1000

// MaxSignInProtocol bounds the name of a protocol in bytes.
const MaxSignInProtocol = 16

// NoteSignIns keeps the last sign-in of accounts. An account that is not on the
// map is passed over, and so is a sign-in before the one that is known.
type NoteSignIns struct {
	SignIns []SignIn `cbor:"1,keyasint,omitempty"`
}

// SignIn is that somebody has signed in.
type SignIn struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	// Time is unix nanoseconds of the clock of the node that let them in.
	Time     int64  `cbor:"2,keyasint"`
	Protocol string `cbor:"3,keyasint,omitempty"`
}

// Touches implements Command.
func (c *NoteSignIns) Touches() Touch {
	ids := make([]rookery.AccountID, len(c.SignIns))
	for i, s := range c.SignIns {
		ids[i] = s.Account
	}
	return touch(ids...)
}
