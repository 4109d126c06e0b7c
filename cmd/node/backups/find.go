package backups

import (
	"context"
	"strings"
	"time"

	"rookery"
	"rookery/backup/past"
	"rookery/cmd/node/adminapi"
	"rookery/storage/keys"
	"rookery/storage/mailbox"
	"rookery/storage/message"
)

// Bounds of an answer.
const (
	foundUsually = 100
	foundMost    = 10000
)

// Find looks for messages of the past.
func (s *Service) Find(ctx context.Context, id rookery.AccountID, o adminapi.FindOrder) (f adminapi.FoundMessages, err error) {
	if o.Limit <= 0 {
		o.Limit = foundUsually
	}
	o.Limit = min(o.Limit, foundMost)
	p, err := s.Past(ctx, id, o.At)
	if err != nil {
		return f, err
	}
	defer s.again.put(moment{id, o.At.UnixNano()}, p)
	account, err := s.o.Accounts.Open(ctx, id)
	if err != nil {
		return f, err
	}
	x := finding{s: s, ctx: ctx, p: p, o: o, found: adminapi.FoundMessages{At: o.At.UTC(), Messages: []adminapi.FoundMessage{}}}
	if x.key, err = account.Key(ctx); err != nil {
		return f, err
	}
	now, err := account.View()
	if err != nil {
		return f, err
	}
	defer now.Close()
	if x.here, err = everything(now); err != nil {
		return f, err
	}
	return x.found, x.run(&f)
}

// everything are the messages that an account has.
func everything(v *mailbox.View) (map[rookery.EmailID]bool, error) {
	all := map[rookery.EmailID]bool{}
	boxes, err := v.Mailboxes()
	for _, m := range boxes {
		if err == nil {
			err = v.Rows(m.ID, 1, m.UIDNext, func(r mailbox.Row) bool { all[r.Email] = true; return true })
		}
	}
	return all, err
}

// finding is a Find under way.
type finding struct {
	s     *Service
	ctx   context.Context
	p     *past.Past
	key   *keys.AccountKey
	o     adminapi.FindOrder
	here  map[rookery.EmailID]bool
	found adminapi.FoundMessages
}

func (x *finding) run(into *adminapi.FoundMessages) error {
	v, err := x.p.View()
	if err != nil {
		return err
	}
	defer v.Close()
	boxes, err := v.Mailboxes()
	if err != nil {
		return err
	}
	for _, m := range boxes {
		if x.o.Mailbox != "" && m.Name != x.o.Mailbox {
			continue
		}
		var inner error
		err := v.Rows(m.ID, 1, m.UIDNext, func(r mailbox.Row) bool {
			if inner = x.row(v, m.Name, r); inner == nil {
				inner = x.ctx.Err()
			}
			return inner == nil && !x.found.More
		})
		if err == nil {
			err = inner
		}
		if err != nil {
			return err
		}
	}
	*into = x.found
	return nil
}

// row looks at one message: what costs nothing first.
func (x *finding) row(v *mailbox.View, name string, r mailbox.Row) error {
	date := time.Unix(r.InternalDate, 0).UTC()
	switch {
	case !x.o.Since.IsZero() && date.Before(x.o.Since), !x.o.Before.IsZero() && !date.Before(x.o.Before), x.o.Deleted && x.here[r.Email]:
		return nil
	}
	e, err := v.Email(r.Email)
	if err != nil {
		return err
	}
	f := adminapi.FoundMessage{Mailbox: name, UID: uint32(r.UID), Email: r.Email.String(), Date: date, Size: r.Size, Deleted: !x.here[r.Email]}
	if extract, err := x.s.extract(x.ctx, x.p, v, x.key, e); err != nil {
		f.Subject = "(cannot be read: " + err.Error() + ")"
	} else {
		f.From, f.Subject = fields(extract)
	}
	if !hasText(f.From, x.o.From) || !hasText(f.Subject, x.o.Subject) {
		return nil
	}
	if len(x.found.Messages) >= x.o.Limit {
		x.found.More = true
		return nil
	}
	x.found.Messages = append(x.found.Messages, f)
	return nil
}

func hasText(s, part string) bool { return strings.Contains(strings.ToLower(s), strings.ToLower(part)) }

// fields are what a list of messages shows.
func fields(x *message.Extract) (from, subject string) {
	for _, a := range x.Envelope.From {
		if from != "" {
			from += ", "
		}
		if a.Name != "" {
			from += message.DecodeHeader(a.Name) + " "
		}
		from += "<" + a.Mailbox + "@" + a.Host + ">"
	}
	return from, message.DecodeHeader(x.Envelope.Subject)
}
