package session

import (
	"fmt"

	"rookery"
)

// Stage is how far a session had come.
type Stage uint8

// The stages, in their order. AtEnd is the only one at which a loss is doubtful:
// the peer may have the message.
const (
	AtConnect Stage = iota
	AtBanner
	AtHello
	AtStartTLS
	AtAuth
	AtMail
	AtRcpt
	AtData // DATA, and the content up to its end
	AtEnd  // the final dot or the last chunk is on its way
	AtReset
	AtQuit
)

func (s Stage) String() string {
	return [...]string{
		"connect", "banner", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "end of data", "RSET", "QUIT",
	}[s]
}

// Error says at which stage a session or a transaction failed. Its kind is
// KindDenied where the peer answered 5yz, that of the cause where it has one (as
// what Send's caller hands in may), else KindUnavailable.
type Error struct {
	Stage Stage
	// Reply is what the peer answered; its Code is 0 where it answered nothing.
	Reply Reply
	Err   error
}

func (e *Error) Error() string { return fmt.Sprintf("%v: %v", e.Stage, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// lost is a failure without a reply: the connection ended, or the peer does not
// speak SMTP.
func lost(at Stage, err error) error {
	kind := rookery.KindOf(err)
	if kind == rookery.KindUnknown {
		kind = rookery.KindUnavailable
	}
	return &Error{Stage: at, Err: rookery.E("smtp", kind, err)}
}

// refused is a reply that says no, or that does not belong there.
func refused(at Stage, r Reply) error {
	kind := rookery.KindUnavailable
	if r.Code/100 == 5 {
		kind = rookery.KindDenied
	}
	return &Error{Stage: at, Reply: r, Err: rookery.E("smtp", kind, fmt.Errorf("the peer answered %v", r))}
}
