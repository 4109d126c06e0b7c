package rookery

import (
	"errors"
	"fmt"
)

// Kind says what a caller can do about an error. Every edge has one table
// from Kind to its reply, and a test that the table has every Kind.
type Kind uint8

// The kinds. KindUnknown is a doubtful outcome: edges answer it as temporary.
const (
	KindUnknown     Kind = iota // nobody said: doubtful, temporary
	KindInvalid                 // the input is malformed
	KindNotFound                // the named thing does not exist
	KindExists                  // the named thing exists already
	KindDenied                  // policy forbids it
	KindCredentials             // wrong name or password
	KindDisabled                // the account is known as disabled
	KindOverQuota               // the account is full
	KindTooLarge                // over a size limit that will not change
	KindLimit                   // too many or too fast: later may work
	KindConflict                // the state has changed underneath
	KindUnavailable             // something needed is away: temporary
	KindDamaged                 // stored data fails its checks
	KindMoved                   // the account is on its way to another group, or there: temporary
	kindEnd
)

// Kinds lists every kind, for tables and their tests.
func Kinds() []Kind {
	ks := make([]Kind, kindEnd)
	for i := range ks {
		ks[i] = Kind(i)
	}
	return ks
}

var kindNames = [kindEnd]string{
	"unknown", "invalid", "not found", "exists", "denied", "credentials", "disabled",
	"over quota", "too large", "limit", "conflict", "unavailable", "damaged", "moved",
}

func (k Kind) String() string {
	if k < kindEnd {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Error is what failed (Op), what a caller can do about it (Kind), and why.
type Error struct {
	Op   string
	Kind Kind
	Err  error
}

// E makes an Error. A KindUnknown takes over the kind of err.
func E(op string, kind Kind, err error) error {
	if kind == KindUnknown {
		kind = KindOf(err)
	}
	return &Error{Op: op, Kind: kind, Err: err}
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Op + ": " + e.Kind.String()
	}
	return e.Op + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf is the kind of the outermost Error in err's chain, else KindUnknown.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindUnknown
}

// Is reports whether err is of the kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }
