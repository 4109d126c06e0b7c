package dsn

import (
	"strings"

	"rookery"
)

// Notify is what RCPT asks for with NOTIFY (RFC 3461 4.1). The zero value is
// nothing said, which asks for failures and delays.
type Notify uint8

// The values of NOTIFY, which add up; Never stands alone.
const (
	Never Notify = 1 << iota
	OnSuccess
	OnFailure
	OnDelay
)

var notifyNames = []struct {
	name string
	bit  Notify
}{{"NEVER", Never}, {"SUCCESS", OnSuccess}, {"FAILURE", OnFailure}, {"DELAY", OnDelay}}

// ParseNotify reads the words of NOTIFY, in upper case. A word that is none is
// passed over.
func ParseNotify(words []string) (n Notify) {
	for _, w := range words {
		for _, known := range notifyNames {
			if w == known.name {
				n |= known.bit
			}
		}
	}
	return n
}

// String is the value of NOTIFY for the next hop; empty where nothing was said.
func (n Notify) String() string {
	if n&Never != 0 {
		return "NEVER"
	}
	var words []string
	for _, known := range notifyNames {
		if n&known.bit != 0 {
			words = append(words, known.name)
		}
	}
	return strings.Join(words, ",")
}

// Wants says whether the recipient's sender asked to be told of the action.
// Who asks for success is told of relaying and expanding too (RFC 3461 5.2.2,
// 5.2.7).
func (n Notify) Wants(a Action) bool {
	switch {
	case n&Never != 0:
		return false
	case n == 0:
		return a == Failed || a == Delayed
	case a == Failed:
		return n&OnFailure != 0
	case a == Delayed:
		return n&OnDelay != 0
	}
	return n&OnSuccess != 0
}

// Due says whether a notification of the action is owed to the sender of a
// recipient: it asked for it, and is not the null sender.
func Due(sender rookery.Address, n Notify, a Action) bool {
	return sender != rookery.Address{} && n.Wants(a)
}

// OfSuccess is what a recipient is told to be where a next hop or a mailbox has
// taken the message, and whether a notification is ours to make: a next hop that
// knows DSN makes it itself (RFC 3461 5.2.2).
func OfSuccess(local, nextHopKnowsDSN bool) (a Action, ours bool) {
	if local {
		return Delivered, true
	}
	return Relayed, !nextHopKnowsDSN
}
