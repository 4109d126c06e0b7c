package policy

import (
	"context"
	"slices"
)

// How many Received fields a message may bring: RFC 5321 6.3 wants at least 100;
// one that is forwarded once more has gone far enough with fewer.
const (
	maxReceived  = 100
	maxForwarded = 50
)

// loops refuses what goes round.
type loops struct{ Base }

// Begin implements Filter.
func (f loops) Begin(Connection) Transaction { return &loopsOf{} }

// loopsOf is loops for one session.
type loopsOf struct {
	Base
	forwards []string
}

// OnMail implements Transaction.
func (f *loopsOf) OnMail(context.Context, Sender) Verdict {
	f.forwards = nil
	return Verdict{}
}

// OnRecipient implements Transaction.
func (f *loopsOf) OnRecipient(_ context.Context, r Recipient) Verdict {
	if r.Forward != "" {
		f.forwards = append(f.forwards, r.Forward)
	}
	return Verdict{}
}

// OnMessage implements Transaction.
func (f *loopsOf) OnMessage(_ context.Context, m *Message) Verdict {
	h := m.Header()
	if h.Received > maxReceived || len(f.forwards) > 0 && h.Received > maxForwarded {
		return refuse(554, 5, 4, 6, "The message goes round in a loop: it has too many Received fields")
	}
	if slices.ContainsFunc(h.DeliveredTo, func(s string) bool { return slices.Contains(f.forwards, s) }) {
		return refuse(554, 5, 4, 6, "The message goes round in a loop: the mailbox has forwarded it before")
	}
	return Verdict{}
}
