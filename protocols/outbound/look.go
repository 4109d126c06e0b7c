package outbound

import (
	"context"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/mailbox"
	"rookery/storage/queue"
	"rookery/storage/state"
)

// Queued says that a group has just agreed on a message which is owed, with the
// rows of its item that are due; the machine of every replica says so. It returns
// at once.
func (c *Couriers) Queued(group rookery.GroupID, rows []queue.Due) {
	var mine []queue.Due
	for _, x := range rows {
		if x.Kind == command.ToRemote {
			mine = append(mine, x)
		}
	}
	if len(mine) > 0 {
		c.pending.tell(group, mine)
	}
}

// sortAtOnce is how many entries of a group's index one look reads.
const sortAtOnce = 4096

// cursor is where a group's index was read up to.
type cursor struct {
	of    command.ItemKind
	after queue.Due
}

// look finds what is due in the groups that this node leads.
func (c *Couriers) look(ctx context.Context) {
	for _, g := range c.o.Groups() {
		m := c.o.Machine(g)
		if m == nil || !c.o.Leader(g) {
			delete(c.cursors, g)
			continue
		}
		if err := c.lookIn(ctx, g, m); err != nil && ctx.Err() == nil {
			c.o.Logger.Error("outbound: the queue cannot be read", "group", g, "error", err)
		}
	}
}

func (c *Couriers) lookIn(ctx context.Context, g rookery.GroupID, m *mailbox.Machine) error {
	if err := c.lookForAttempts(ctx, g, m); err != nil {
		return err
	}
	at := c.cursors[g]
	if at == nil {
		at = &cursor{of: command.Message}
		c.cursors[g] = at
	}
	by := max(c.o.Clock().UnixNano(), m.Time()) // the group's clock may be ahead
	for left := sortAtOnce; left > 0 && !c.pending.full() && ctx.Err() == nil; {
		rows, err := m.Due(queue.Class{Row: command.ToRemote, Of: at.of}, by, at.after, min(left, 512))
		if err != nil {
			return err
		}
		c.sort(ctx, g, rows)
		left -= len(rows)
		if len(rows) > 0 {
			at.after = rows[len(rows)-1]
			continue
		}
		at.after = queue.Due{}
		if at.of == command.Notification {
			at.of = command.Message
			return nil // once round
		}
		at.of = command.Notification
	}
	return nil
}

// lookForAttempts finds rows that couriers had whose lives are over, and rows that
// this one has without knowing: a result that was never recorded.
func (c *Couriers) lookForAttempts(ctx context.Context, g rookery.GroupID, m *mailbox.Machine) error {
	var rows []queue.Ref
	err := m.Queue(func(r state.Reader) (err error) {
		all, err := queue.Attempted(r, queue.Ref{}, sortAtOnce)
		if err != nil {
			return err
		}
		for _, x := range all {
			if !c.pending.unknown(place{g, x}) {
				continue
			}
			_, row, err := queue.Find(r, x)
			if err != nil {
				return err
			}
			if row.By == c.o.Self || c.o.Gone(row.By) {
				rows = append(rows, x)
			}
		}
		return nil
	})
	due := make([]queue.Due, len(rows))
	for i, x := range rows {
		due[i].Ref = x
	}
	c.sort(ctx, g, due)
	return err
}

// sort finds the destinations of rows.
func (c *Couriers) sort(ctx context.Context, g rookery.GroupID, rows []queue.Due) {
	set := c.o.Settings()
	for _, x := range rows {
		if !c.pending.unknown(place{g, x.Ref}) || ctx.Err() != nil {
			continue
		}
		l, err := c.load(ctx, g, x.Ref)
		switch {
		case rookery.Is(err, rookery.KindNotFound):
			continue // it has ended
		case err != nil:
			c.o.Logger.Error("outbound: a message cannot be sent", "group", g, "item", itemID(x.Item), "error", err)
			continue
		}
		c.pending.add(place{g, x.Ref}, set.route(&l.row, l.to, l.address))
	}
}

// loaded is a row, opened.
type loaded struct {
	queue.Ref
	header  queue.Header
	row     queue.Row
	key     *keys.DayKey
	to      queue.Recipient
	address rookery.Address
}

// load reads and opens a row. KindNotFound: it has ended.
func (c *Couriers) load(ctx context.Context, g rookery.GroupID, x queue.Ref) (l loaded, err error) {
	m := c.o.Machine(g)
	if m == nil {
		return l, rookery.E("read queue", rookery.KindNotFound, errLeft)
	}
	l.Ref = x
	if err := m.Queue(func(r state.Reader) (err error) {
		l.header, l.row, err = queue.Find(r, x)
		return err
	}); err != nil {
		return l, err
	}
	if l.key, err = c.o.Days.Open(ctx, g, keys.Day(l.header.Day)); err != nil {
		return l, asDamage(err)
	}
	if l.to, err = queue.OpenRecipient(l.key, x, l.row.Recipient); err != nil {
		return l, err
	}
	l.address, err = rookery.ParseAddress(l.to.Address)
	return l, err
}
