package system

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var signInPart = part{
	Tables: []tables.Table{
		{ID: tableSignIn, Name: "last sign-in of an account",
			Owner: tables.OfAccount, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.AtOnce,
			Key: tables.Exactly(0), Check: tables.Decodes[SignIn]},
	},
	Handlers: handlers{
		tables.On((*work).noteSignIns),
	},
}

var signInRows = tables.Records[SignIn]{Table: tableSignIn, What: "last sign-in of an account"}

// SignIn is when the owner of an account was last known to sign in.
type SignIn struct {
	// Time is unix nanoseconds; 0: not since it is noted.
	Time     int64  `cbor:"1,keyasint"`
	Protocol string `cbor:"2,keyasint,omitempty"`
}

func signInKey(a rookery.AccountID) tables.Key { return tables.AccountKey(tableSignIn, a) }

// LastSignIn is an account's; the zero value where none is known.
func (m *Machine) LastSignIn(id rookery.AccountID) (s SignIn, err error) {
	err = m.read(func(r state.Reader) error {
		s, _, err = signInRows.Find(r, signInKey(id))
		return err
	})
	return s, err
}

// noteSignIns keeps what is newer than what is known, and nothing from beyond
// group time: a clock that was ahead would hide all later sign-ins.
func (w *work) noteSignIns(c *command.NoteSignIns) (command.Result, error) {
	if n := len(c.SignIns); n > command.MaxSignIns {
		return nil, refuse(rookery.KindInvalid, "%d sign-ins, at most %d", n, command.MaxSignIns)
	}
	for _, s := range c.SignIns {
		if len(s.Protocol) > command.MaxSignInProtocol {
			return nil, refuse(rookery.KindInvalid, "%.80q is not a protocol", s.Protocol)
		}
	}
	for _, s := range c.SignIns {
		now := SignIn{min(s.Time, w.Time()), s.Protocol}
		known, _, err := signInRows.Find(w.Tx, signInKey(s.Account))
		tables.Must(err)
		if now.Time > known.Time && w.Has(accountKey(s.Account)) {
			signInRows.Put(&w.Change, signInKey(s.Account), &now)
		}
	}
	return &command.Done{}, nil
}
