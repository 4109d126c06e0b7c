// Package dsn composes delivery status notifications (RFC 3461, 3464, 6522 and
// 6533): the multipart/report that tells a sender what became of a message, and
// the rules that say who gets one. It owns their words, in English and in
// Vietnamese, and xtext, in which RFC 3461 writes ENVID and ORCPT.
//
// It is pure: it has no clock, reads no queue and sends nothing. It never
// answers the null sender, and never lets what a peer has said become more than
// text: no reply, address or header of others adds a field, a part or a line
// that a reader would take for ours. It converts no foreign message to 7 bit: an
// original that cannot be enclosed as it is goes back as its header alone.
package dsn

import (
	"errors"
	"fmt"
	"time"

	"rookery"
)

// The bounds of a notification.
const (
	// MaxRecipients bounds the recipients of one notification.
	MaxRecipients = 100
	// MaxWhole is the size in bytes up to which the original is enclosed whole;
	// of larger ones the header is.
	MaxWhole = 50 << 10
	// maxHeader bounds the bytes of the original's header that go back.
	maxHeader = 32 << 10
	// maxValue bounds a word of a field, so that a line has at most 998 octets
	// (RFC 5322 2.1.1).
	maxValue = 900
	// maxReply bounds what is told of a peer's reply, in bytes.
	maxReply = 4 << 10
)

// Action says what happened to a recipient (RFC 3464 2.3.3).
type Action uint8

// The actions.
const (
	// Failed is final: it is not tried again.
	Failed Action = iota
	// Delayed is a failure so far; it is tried again.
	Delayed
	// Delivered is filed in the recipient's mailbox.
	Delivered
	// Relayed is taken by a next hop that sends no notification of success.
	Relayed
	// Expanded is handed to the members of a list or group.
	Expanded
	actionEnd
)

var actionNames = [actionEnd]string{"failed", "delayed", "delivered", "relayed", "expanded"}

// String is the action as the field Action has it.
func (a Action) String() string {
	if a < actionEnd {
		return actionNames[a]
	}
	return fmt.Sprintf("action %d", uint8(a))
}

// Return is what MAIL asks for with RET (RFC 3461 4.3).
type Return uint8

// What of a failed message goes back. Other notifications carry its header.
const (
	ReturnUnsaid  Return = iota // like ReturnFull
	ReturnFull                  // the whole message
	ReturnHeaders               // its header
)

// ParseReturn reads the value of RET, in upper case; what is none is unsaid.
func ParseReturn(ret string) Return {
	switch ret {
	case "FULL":
		return ReturnFull
	case "HDRS":
		return ReturnHeaders
	}
	return ReturnUnsaid
}

// Envelope is what MAIL said of the original.
type Envelope struct {
	// Sender gets the notification: the sender's address of today, where an
	// account has been renamed since. The zero value is the null sender.
	Sender rookery.Address
	// ID is ENVID, decoded; empty where there was none.
	ID string
	// Returns is RET.
	Returns Return
}

// Recipient is what is told of one recipient. Texts may hold anything: they are
// cleaned and cut.
type Recipient struct {
	// Final is the address that was tried.
	Final rookery.Address
	// Original is ORCPT, "type;address", decoded; empty where there was none.
	Original string
	Action   Action
	// Status is the enhanced status code (RFC 3463), as "5.1.1". One that is
	// malformed, or that the action cannot have, becomes that of the action.
	Status string
	// RemoteMTA is the name of the host that answered; empty where none did.
	RemoteMTA string
	// Reply is the host's reply in its own words, all lines of it.
	Reply string
	// Reason says in English why, where no host answered.
	Reason string
	// TLS is the verdict on the connection's encryption; empty where there is
	// none to tell.
	TLS string
	// LastAttempt and WillRetryUntil are left out where they are zero.
	LastAttempt, WillRetryUntil time.Time
}

// Original is the message that the notification is about.
type Original struct {
	// Bytes are the whole message, or its beginning where it is larger than
	// MaxWhole: at most that many are looked at.
	Bytes []byte
	// Size is the size of the whole message in bytes.
	Size int64
	// Arrival is when it was accepted.
	Arrival time.Time
}

// Report is all that a notification is made of. Times are shown in the zone that
// they are in.
type Report struct {
	// MTA is the name of the reporting host.
	MTA string
	// From is the address that the notification comes from, in its header: its
	// envelope has the null sender. Questions go there.
	From rookery.Address
	// MessageID is made by the caller of item, recipient and kind, so that the
	// same notification made twice has the same; with or without brackets.
	MessageID string
	Date      time.Time
	// UTF8 says that the way to the sender knows SMTPUTF8 (RFC 6531). Without it
	// the notification is US-ASCII but for an original of 8 bits.
	UTF8       bool
	Envelope   Envelope
	Original   Original
	Recipients []Recipient
}

// ErrNullSender is in the chain where a notification would answer the null
// sender (RFC 3461 6, RFC 5321 4.5.5).
var ErrNullSender = errors.New("the null sender gets no notification")

// check refuses what no notification can be made of.
func (r *Report) check() error {
	fail := func(kind rookery.Kind, format string, args ...any) error {
		return rookery.E("compose a delivery status notification", kind, fmt.Errorf(format, args...))
	}
	switch {
	case r.Envelope.Sender == rookery.Address{}:
		return fail(rookery.KindDenied, "%w", ErrNullSender)
	case len(r.Recipients) == 0:
		return fail(rookery.KindInvalid, "it has no recipient to tell of")
	case len(r.Recipients) > MaxRecipients:
		return fail(rookery.KindLimit, "it tells of %d recipients, at most %d", len(r.Recipients), MaxRecipients)
	case r.Date.IsZero():
		return fail(rookery.KindInvalid, "it has no date")
	case !isID(bareID(r.MessageID), false):
		return fail(rookery.KindInvalid, "the message id %.200q is malformed", r.MessageID)
	case !sendable(r.From, r.UTF8):
		return fail(rookery.KindInvalid, "the address %.200q cannot send it", r.From)
	case !sendable(r.Envelope.Sender, r.UTF8):
		return fail(rookery.KindInvalid, "the sender %.200q cannot be addressed (RFC 6531: SMTPUTF8 is %t)", r.Envelope.Sender, r.UTF8)
	}
	for i := range r.Recipients {
		if r.Recipients[i].Action >= actionEnd {
			return fail(rookery.KindInvalid, "recipient %d has the unknown %s", i+1, r.Recipients[i].Action)
		}
	}
	return nil
}
