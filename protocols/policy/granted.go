package policy

import (
	"context"

	"rookery"
)

// grantedSender keeps those who relay from writing in the name of others. Without
// a grant nothing goes on.
type grantedSender struct{ Base }

// Begin implements Filter.
func (grantedSender) Begin(Connection) Transaction { return &grantedSenderOf{} }

// grantedSenderOf is grantedSender for one session.
type grantedSenderOf struct {
	Base
	may func(rookery.Address) bool
}

// OnMail implements Transaction.
func (f *grantedSenderOf) OnMail(_ context.Context, s Sender) Verdict {
	f.may = s.Relay
	switch {
	case f.may == nil:
		return refuse(550, 5, 7, 1, "Relaying is not permitted")
	case !f.may(s.Address):
		return refuse(550, 5, 7, 1, "This client may not send as that address; ask your administrator to list it")
	}
	return Verdict{}
}

// OnRecipient implements Transaction.
func (f *grantedSenderOf) OnRecipient(context.Context, Recipient) Verdict {
	if f.may == nil {
		return refuse(550, 5, 7, 1, "Relaying is not permitted")
	}
	return Verdict{}
}

// OnMessage implements Transaction.
func (f *grantedSenderOf) OnMessage(_ context.Context, m *Message) Verdict {
	h := m.Header()
	if f.may == nil || h.FromBroken {
		return refuse(554, 5, 6, 0, "The From field cannot be read")
	}
	for _, a := range h.From {
		if !f.may(a) {
			return refuse(550, 5, 7, 1, "The From field has an address that this client may not send as")
		}
	}
	return Verdict{}
}
