package policy

import (
	"context"
	"fmt"
	"time"

	"rookery/directory"
)

// DateFormat is the date of RFC 5322 3.3.
const DateFormat = "Mon, 2 Jan 2006 15:04:05 -0700"

// Options are what the chains are made of.
type Options struct {
	// Hostname is in the ids of messages that bring none.
	Hostname string
	// CheckSender reports, asked for with each message, whether the reverse
	// path and the From field of a signed-in user must be the user's own. nil:
	// they need not.
	CheckSender func() bool
	// Clock dates messages that have no date; nil is time.Now.
	Clock func() time.Time
}

// Chains are the chains of this system, one per direction.
type Chains struct {
	// MX judges what other systems bring, Submission what users send, Relay what
	// applications and devices do.
	MX, Submission, Relay Chain
}

// New makes the chains.
func New(o Options) Chains {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	c := Chains{MX: Chain{loops{}, noRelaying{}}, Submission: Chain{loops{}, wholeHeader{}}}
	if o.CheckSender != nil {
		c.Submission = append(c.Submission, ownSender{on: o.CheckSender})
	}
	complete := completion{hostname: o.Hostname, clock: o.Clock}
	c.Submission = append(c.Submission, complete)
	c.Relay = Chain{loops{}, wholeHeader{}, grantedSender{}, complete}
	return c
}

// noRelaying takes recipients of this system only.
type noRelaying struct{ Base }

// Begin implements Filter.
func (f noRelaying) Begin(Connection) Transaction { return f }

// OnRecipient implements Transaction.
func (noRelaying) OnRecipient(_ context.Context, r Recipient) Verdict {
	if !r.Local {
		return refuse(550, 5, 7, 1, "Not a domain of this system; relaying is not permitted")
	}
	return Verdict{}
}

// wholeHeader refuses a header that does not fit the memory: what cannot be
// seen cannot be checked, nor what is missing be added.
type wholeHeader struct{ Base }

// Begin implements Filter.
func (f wholeHeader) Begin(Connection) Transaction { return f }

// OnMessage implements Transaction.
func (wholeHeader) OnMessage(_ context.Context, m *Message) Verdict {
	if m.Header().Cut {
		return refuse(554, 5, 6, 0, fmt.Sprintf("The header is larger than %d bytes", MaxHeader))
	}
	return Verdict{}
}

// ownSender keeps users from writing in the name of others while it is on.
type ownSender struct {
	Base
	on func() bool
}

// Begin implements Filter.
func (f ownSender) Begin(Connection) Transaction { return &ownSenderOf{on: f.on} }

// ownSenderOf is ownSender for one session.
type ownSenderOf struct {
	Base
	on   func() bool
	user *directory.Entry // nil where anybody may be named
}

// OnMail implements Transaction.
func (f *ownSenderOf) OnMail(_ context.Context, s Sender) Verdict {
	if f.user = s.User; !f.on() {
		f.user = nil
	}
	if f.user != nil && s.Address.Domain != "" && !f.user.Has(s.Address) {
		return refuse(553, 5, 7, 1, "Not an address of yours: use one of your own as sender")
	}
	return Verdict{}
}

// OnMessage implements Transaction.
func (f *ownSenderOf) OnMessage(_ context.Context, m *Message) Verdict {
	if f.user == nil {
		return Verdict{}
	}
	h := m.Header()
	for _, a := range h.From {
		if !f.user.Has(a) {
			return refuse(550, 5, 7, 1, "The From field has an address that is not yours")
		}
	}
	if h.FromBroken {
		return refuse(554, 5, 6, 0, "The From field cannot be read")
	}
	return Verdict{}
}

// completion adds what RFC 6409 8 lets a submission server add: a missing Date
// or Message-ID. Nothing else is altered.
type completion struct {
	Base
	hostname string
	clock    func() time.Time
	session  string
}

// Begin implements Filter.
func (f completion) Begin(c Connection) Transaction {
	f.session = c.Session
	return f
}

// OnMessage implements Transaction.
func (f completion) OnMessage(_ context.Context, m *Message) (v Verdict) {
	if !m.Header().Date {
		v.Add = append(v.Add, Field{"Date", f.clock().Format(DateFormat)})
	}
	if !m.Header().MessageID {
		v.Add = append(v.Add, Field{"Message-ID", fmt.Sprintf("<%s.%s@%s>", f.session, m.ID, f.hostname)})
	}
	return v
}

func refuse(code, class, subject, detail int, text string) Verdict {
	return Verdict{Action: Refuse, Reply: Reply{code, [3]int{class, subject, detail}, text}}
}
