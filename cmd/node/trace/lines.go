package trace

import (
	"context"
	"slices"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/storage/keys"
	"rookery/storage/mailbox"
	"rookery/storage/queue"
	"rookery/storage/state"
	"rookery/storage/trace"
)

// What one page looks at, and what it gives.
const (
	maxScanned = 200_000
	pageLines  = 500
)

// linesHere is a page of what a group with a replica here remembers.
func (s *Service) linesHere(ctx context.Context, m *mailbox.Machine, g rookery.GroupID, q peers.TraceQuery) (p peers.TracePage, err error) {
	if err := s.o.Replicas.Barrier(ctx, g); err != nil {
		return p, err
	}
	scan := scan{s: s, ctx: ctx, group: g, q: &q, page: &p}
	var seen int
	err = m.Queue(func(r state.Reader) error {
		return trace.Each(r, q.From, q.Until, func(at int64, l *trace.Line) (bool, error) {
			// A page ends before a group time that is not in it at all.
			if seen++; (seen > maxScanned || len(p.Lines) >= pageLines) && at != scan.last {
				p.Next = at
				return false, nil
			}
			scan.last = at
			scan.add(at, l)
			return true, ctx.Err()
		})
	})
	scan.end()
	return p, err
}

// mailbox is what a place is called today; "" where it is gone.
func (s *Service) mailbox(g rookery.GroupID, p trace.Place) string {
	m := s.o.Replicas.Machine(g)
	if m == nil {
		return ""
	}
	v, err := m.View(p.Account)
	if err != nil {
		return ""
	}
	defer v.Close()
	x, err := v.Mailbox(p.Mailbox)
	if err != nil {
		return ""
	}
	return x.Name
}

// scan puts the lines of accepted messages together and picks what is wanted.
type scan struct {
	s     *Service
	ctx   context.Context
	group rookery.GroupID
	q     *peers.TraceQuery
	page  *peers.TracePage
	last  int64

	open   peers.TraceLine // of an accepted message; Kind 0: none
	places []trace.Place
}

func (x *scan) add(at int64, l *trace.Line) {
	if l.Kind == trace.Accepted && l.N > 0 && x.open.Kind == trace.Accepted && x.open.Email == l.Email {
		if f, err := x.facts(l); err == nil {
			x.open.Facts.To = append(x.open.Facts.To, f.To...)
		}
		return
	}
	x.end()
	listed := len(x.q.Emails) > 0
	if listed && !slices.Contains(x.q.Emails, l.Email) && !slices.Contains(x.q.Emails, l.About) || !listed && l.Kind != trace.Accepted {
		return
	}
	x.open = peers.TraceLine{At: at, Group: x.group, Kind: l.Kind, Email: l.Email, About: l.About, Row: l.Row, How: l.How, More: l.More,
		Missed: l.Missed}
	for _, p := range l.Places {
		x.open.Places = append(x.open.Places, peers.TracePlace{Account: p.Account, UID: p.UID})
	}
	x.places = l.Places
	if err := x.reveal(l); err != nil {
		x.open.Trouble = err.Error()
	}
}

// reveal opens what is sealed of a line.
func (x *scan) reveal(l *trace.Line) (err error) {
	if len(l.Facts) > 0 {
		x.open.Facts, err = x.facts(l)
		return err
	}
	if len(l.Recipient) == 0 {
		return nil
	}
	k, err := x.s.o.Days.Open(x.ctx, x.group, keys.Day(l.Day))
	if err != nil {
		return err
	}
	to, err := queue.OpenRecipient(k, l.Row, l.Recipient)
	if err != nil {
		return err
	}
	x.open.To = to.Address
	if len(l.Heard) > 0 {
		x.open.Heard, err = queue.OpenHeard(k, l.Row, l.Heard)
	}
	return err
}

func (x *scan) facts(l *trace.Line) (f trace.Facts, err error) {
	k, err := x.s.o.Days.Open(x.ctx, x.group, keys.Day(l.Day))
	if err != nil {
		return f, err
	}
	return l.Open(k)
}

// end gives the open line, where it is wanted.
func (x *scan) end() {
	if x.open.Kind != 0 && (len(x.q.Emails) > 0 || x.picks(&x.open)) {
		for i := range x.places {
			x.open.Places[i].Mailbox = x.s.mailbox(x.group, x.places[i])
		}
		x.page.Lines = append(x.page.Lines, x.open)
	}
	x.open, x.places = peers.TraceLine{}, nil
}

func (x *scan) picks(l *peers.TraceLine) bool {
	f, q := &l.Facts, &x.q.Filter
	return matches(q.ID, f.ID) && matches(q.MessageID, f.MessageID) && matches(q.Sender, f.From) &&
		(q.Recipient == "" || slices.ContainsFunc(f.To, func(to string) bool { return matches(q.Recipient, to) }))
}
