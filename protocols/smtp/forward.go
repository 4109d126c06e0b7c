package smtp

import (
	"context"
	"errors"
	"slices"
	"strings"

	"rookery"
	"rookery/protocols/delivery"
	"rookery/protocols/delivery/lists"
	"rookery/protocols/policy"
)

// recipientOf is a recipient as the policy sees it.
func recipientOf(r delivery.Route, given rookery.Address) policy.Recipient {
	return policy.Recipient{Address: given, Local: r.To != delivery.Remote, Forward: mark(r)}
}

// mark is what a message brings where the mailbox has forwarded it before.
func mark(r delivery.Route) string {
	if r.Forward == nil {
		return ""
	}
	return r.Forward.Mark
}

// forward adds those to whom a mailbox forwards, all of them or none, and the
// mailbox itself where it keeps a copy. They inherit what the client said of its
// recipient, as RFC 3461 5.2.7 has it for aliases.
func (s *session) forward(ctx context.Context, r delivery.Route, p rcptParams) *Reply {
	if r.List != nil {
		if err := r.List.MaySend(s.user, s.tx.from); err != nil {
			s.cause = err
			return refuse(550, enhanced{5, 7, 1}, sentence(err))
		}
	}
	all, err := delivery.Expand(ctx, s.server.o.Router, r)
	switch {
	case errors.Is(err, delivery.ErrForwardLoop):
		return refuse(550, enhanced{5, 4, 6}, "The forwards of the mailbox lead in a circle, or to nobody")
	case err != nil:
		s.cause = err
		refusal := doubt(err)
		return &refusal
	case s.tx.count()+len(all) > delivery.MaxRecipients:
		return refuse(452, enhanced{4, 5, 3}, "Too many recipients with those that it is forwarded to; send it to them once more")
	}
	if p.original == "" {
		p.original = "rfc822;" + r.Address.String()
	}
	var local []delivery.Recipient
	var remote []delivery.RemoteRecipient
	for _, x := range all {
		if x.To == delivery.Local {
			if refusal := s.room(ctx, x, s.tx.params.size); refusal != nil {
				return refusal
			}
			local = append(local, delivery.Recipient{Address: x.Address, Account: x.Account})
			continue
		}
		from, err := s.server.o.Router.Sender(s.tx.from, x.By)
		if err != nil {
			s.cause = err
			refusal := doubt(err)
			return &refusal
		}
		remote = append(remote, delivery.RemoteRecipient{Address: x.Address, NextHop: x.Host, Notify: p.notify, Original: p.original,
			Forwarded: true, From: from})
	}
	s.tx.recipients, s.tx.remote = append(s.tx.recipients, local...), append(s.tx.remote, remote...)
	if m := r.Forward.Mark; m != "" {
		s.tx.forwards = append(s.tx.forwards, m)
	}
	if r.List != nil && !slices.Contains(s.tx.lists, r.List.ID) {
		s.tx.lists = append(s.tx.lists, r.List.ID)
	}
	return nil
}

// sentence is what a refusal of a list says to its sender.
func sentence(err error) string {
	_, who, _ := strings.Cut(err.Error(), lists.ErrNotForYou.Error()+": ")
	return "You may not send to this list: " + who
}
