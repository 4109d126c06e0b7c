package directory

import (
	"errors"

	"rookery"
)

// Cause says why somebody may not sign in whose account exists.
type Cause int

// The causes. Each edge has a row for each of them but CauseNone.
const (
	// CauseNone: there is nothing that may be told.
	CauseNone Cause = iota
	// CauseDisabled: an administrator has switched the account off, or it has
	// expired.
	CauseDisabled
	// CauseExpired: the password has expired, or must be changed first.
	CauseExpired
	// CauseForbidden: not at this hour, or not from here.
	CauseForbidden
	// CauseLocked: too many wrong passwords were tried.
	CauseLocked
	causes
)

// Causes lists every cause, for tables and their tests.
func Causes() []Cause {
	all := make([]Cause, 0, causes-1)
	for c := CauseDisabled; c < causes; c++ {
		all = append(all, c)
	}
	return all
}

// Refusal is in the chain of a KindDisabled of Authenticate.
type Refusal struct {
	Cause Cause
	// Proven says that the password was right. Else nobody but the log may be
	// told the cause: it would tell guessers which accounts there are.
	Proven bool
	Text   string
}

func (r *Refusal) Error() string { return r.Text }

// Refuse makes the KindDisabled of a refusal.
func Refuse(op string, r Refusal) error { return rookery.E(op, rookery.KindDisabled, &r) }

// Told is the cause that may be told to whom a sign-in is refused: only after a
// right password there is one.
func Told(err error) Cause {
	var r *Refusal
	if rookery.Is(err, rookery.KindDisabled) && errors.As(err, &r) && r.Proven {
		return r.Cause
	}
	return CauseNone
}

// Prove is a refusal after a password that is known to be right from before.
// Other errors stay as they are.
func Prove(err error) error {
	var r *Refusal
	if !rookery.Is(err, rookery.KindDisabled) || !errors.As(err, &r) || r.Proven {
		return err
	}
	return Refuse("sign in", Refusal{Cause: r.Cause, Proven: true, Text: r.Text})
}
