package couriers

import (
	"cmp"
	"context"
	"slices"
	"time"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/protocols/outbound"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/propose"
	"rookery/storage/queue"
)

const (
	// pageRows bounds a page of the queue that one node asks another for.
	pageRows = 1000
	// bounceWait bounds how long another node may take to send rows back.
	bounceWait = time.Minute
)

// list gives what is owed to other systems by all groups, the oldest first, at
// most limit, and how many more there are. It passes a barrier: what was accepted
// before is listed.
func (s *Service) list(ctx context.Context, f outbound.Filter, limit int) (all []outbound.Entry, more int, err error) {
	for _, g := range s.o.Groups() {
		err := s.each(ctx, g, f, func(e outbound.Entry) { all = append(all, e) })
		if err != nil {
			return nil, 0, err
		}
	}
	slices.SortFunc(all, func(a, b outbound.Entry) int {
		return cmp.Or(cmp.Compare(a.Accepted, b.Accepted), cmp.Compare(outbound.ID(a.Row), outbound.ID(b.Row)))
	})
	if len(all) > limit {
		all, more = all[:limit], len(all)-limit
	}
	return all, more, nil
}

// each calls fn for what a group owes, wherever its replicas are.
func (s *Service) each(ctx context.Context, g rookery.GroupID, f outbound.Filter, fn func(outbound.Entry)) error {
	for q := (peers.QueueQuery{Filter: f}); ; {
		page, err := s.rows.Ask(ctx, g, q)
		if err != nil {
			return err
		}
		for _, e := range page.Entries {
			fn(e)
		}
		if !page.More {
			return nil
		}
		q.After = page.Last
	}
}

// rowsHere is a page of what a group with a replica here owes. A page ends with
// an item.
func (s *Service) rowsHere(ctx context.Context, _ *mailbox.Machine, g rookery.GroupID, q peers.QueueQuery) (p peers.QueuePage, err error) {
	if q.After == (command.ItemID{}) {
		if err := s.o.Replicas.Barrier(ctx, g); err != nil {
			return p, err
		}
	}
	now := s.o.Clock()
	seen := 0
	err = s.Couriers.List(ctx, g, q.After, func(e outbound.Entry) bool {
		if (len(p.Entries) >= pageRows || seen >= 20*pageRows) && e.Row.Item != p.Last {
			p.More = true
			return false
		}
		p.Last = e.Row.Item
		seen++
		if q.Filter.Matches(&e, now) {
			p.Entries = append(p.Entries, e)
		}
		return true
	})
	return p, err
}

// steer does with what a filter picks what an operator wants, and counts what was
// done and what was left: it is being sent, or has ended.
func (s *Service) steer(ctx context.Context, f outbound.Filter, how command.Steering, nextHop string) (done, left int, err error) {
	if how == command.ReleaseRow {
		if err := s.letSend(ctx, f); err != nil {
			return 0, 0, err
		}
	}
	return s.onRows(ctx, f, func(ctx context.Context, g rookery.GroupID, rows []queue.Ref) (int, error) {
		r, _, err := propose.As[*command.RowsResult](ctx, s.o.Replicas, g, &command.SteerRows{How: how, Rows: rows, NextHop: nextHop})
		if err != nil {
			return 0, err
		}
		n := 0
		for _, ok := range r.Done {
			if ok {
				n++
			}
		}
		return n, nil
	})
}

// CancelOf takes what accounts have scheduled, and what is held of theirs, out of
// the queues of all groups, for they may have been in another when they sent it, and
// counts it. Nobody is told. What is due, and what is being sent, goes on.
func (s *Service) CancelOf(ctx context.Context, accounts []rookery.AccountID) (done int, err error) {
	if len(accounts) == 0 {
		return 0, nil
	}
	for _, state := range []outbound.State{outbound.Scheduled, outbound.Held} {
		n, _, err := s.steer(ctx, outbound.Filter{Accounts: accounts, State: state}, command.CancelRow, "")
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// bounce sends what a filter picks back to its senders, with a reason.
func (s *Service) bounce(ctx context.Context, f outbound.Filter, reason string) (done, left int, err error) {
	return s.onRows(ctx, f, func(ctx context.Context, g rookery.GroupID, rows []queue.Ref) (int, error) {
		n, err := s.bounces.Ask(ctx, g, peers.QueueBounce{Rows: rows, Reason: reason})
		return int(n), err
	})
}

func (s *Service) onRows(ctx context.Context, f outbound.Filter,
	do func(context.Context, rookery.GroupID, []queue.Ref) (int, error)) (done, left int, err error) {
	for _, g := range s.o.Groups() {
		var rows []queue.Ref
		if err := s.each(ctx, g, f, func(e outbound.Entry) { rows = append(rows, e.Row) }); err != nil {
			return done, left, err
		}
		for some := range slices.Chunk(rows, command.MaxRows) {
			n, err := do(ctx, g, some)
			if err != nil {
				return done, left, err
			}
			done += n
			left += len(some) - n
		}
	}
	return done, left, nil
}

func (s *Service) bounceHere(ctx context.Context, _ *mailbox.Machine, g rookery.GroupID, q peers.QueueBounce) (peers.Count, error) {
	n, err := s.Couriers.Bounce(ctx, g, q.Rows, q.Reason)
	return peers.Count(n), err
}
