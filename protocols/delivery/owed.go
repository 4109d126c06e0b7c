package delivery

import (
	"context"
	"fmt"
	"sync"
	"time"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/queue"
)

// times are the times of the fan-out.
type times struct {
	// poll is how often due rows are looked for without being told.
	poll time.Duration
	// again is when a row that could not be filed is tried again.
	again time.Duration
	// orphan is how long a row has been due when replicas that do not lead file it,
	// too: the leader may not reach the other group.
	orphan time.Duration
	// fan bounds one attempt at one row, from the moment it was known to be
	// open. What arrives later is refused.
	fan time.Duration
	// forget is how long the mark of a finished item stays in the groups it
	// was filed in. It is far above fan: an attempt begun before the item
	// ended may still arrive, and must find the mark or be too late.
	forget time.Duration
	// sweep is how often finished items are looked for.
	sweep time.Duration
}

var defaultTimes = times{poll: time.Second, again: 5 * time.Second, orphan: 15 * time.Second, fan: 5 * time.Minute,
	forget: time.Hour, sweep: 10 * time.Minute}

// page is how many rows are read at once.
const page = 512

// Queued says that a group has just agreed on a message which is owed to further
// groups, with the rows of its item; the machine of every replica says so. Where
// this node leads, Run files it at once. It returns at once: who leads is asked
// by Run, for the answer may wait for a group that starts.
func (d *Deliverer) Queued(home rookery.GroupID, rows []queue.Due) {
	d.fanout.tell(home, rows)
}

// Led says that this node has come to lead a group: Run files what is owed
// still. It returns at once.
func (d *Deliverer) Led(home rookery.GroupID) { d.fanout.search(home) }

// Run files messages in their further groups until ctx ends. The leader of the
// group that owes them does it, wherever they came from: it has the
// message, and knows of it first. Who comes to lead goes on where another left
// off. Two nodes doing so at once cost work, never a second copy.
func (d *Deliverer) Run(ctx context.Context) error {
	tick := time.NewTicker(d.times.poll)
	defer tick.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { d.forgetting(ctx) })
	for _, g := range d.o.Groups() {
		d.fanout.search(g)
	}
	for {
		for _, x := range d.fanout.told() {
			if d.o.Leader(x.home) {
				d.fanout.add(x.home, x.Due, d.o.Clock())
			}
		}
		lanes, homes := d.fanout.begin()
		for _, l := range lanes {
			wg.Go(func() { d.fill(ctx, l) })
		}
		for _, g := range homes {
			wg.Go(func() {
				d.look(ctx, g)
				d.fanout.searched(g, d.o.Clock())
			})
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.fanout.wake:
		case <-tick.C:
			for _, g := range d.o.Groups() {
				d.fanout.search(g)
			}
		}
	}
}

// look finds what is due in a group, in the order in which it became so: what
// the index says is enough. Mostly there is nothing.
func (d *Deliverer) look(ctx context.Context, home rookery.GroupID) {
	m := d.o.Machine(home)
	if m == nil {
		return
	}
	now := d.o.Clock()
	by := max(now.UnixNano(), m.Time()) // the group's clock may be ahead
	if !d.o.Leader(home) {
		by = now.Add(-d.times.orphan).UnixNano()
	}
	for _, of := range []command.ItemKind{command.Message, command.Notification} {
		d.lookFor(ctx, home, m, of, by)
	}
}

func (d *Deliverer) lookFor(ctx context.Context, home rookery.GroupID, m *mailbox.Machine, of command.ItemKind, by int64) {
	now := d.o.Clock()
	for after := (queue.Due{}); ctx.Err() == nil; {
		rows, err := m.Due(queue.Class{Row: command.ToGroup, Of: of}, by, after, page)
		if err != nil {
			d.o.Logger.Error("delivery: the queue cannot be read", "group", home, "error", err)
			return
		}
		for _, x := range rows {
			after = x
			d.fanout.add(home, x, now)
		}
		if len(rows) < page {
			return
		}
	}
}

// mine reports whether this node works on a row of a group that is due since a
// time.
func (d *Deliverer) mine(home rookery.GroupID, due int64) bool {
	return d.o.Leader(home) || d.o.Clock().Sub(time.Unix(0, due)) >= d.times.orphan
}

// fill files what waits in a lane.
func (d *Deliverer) fill(ctx context.Context, l lane) {
	for {
		x, ok := d.fanout.take(l)
		if !ok {
			return
		}
		var again time.Time // at once, where it turns out to be open
		err := d.attempt(ctx, l, x)
		if err != nil && ctx.Err() == nil {
			again = d.o.Clock().Add(d.times.again)
			d.o.Logger.Warn("delivery: an accepted message is not filed everywhere yet; trying again",
				"item", fmt.Sprintf("%x", x.Item), "group", l.to, "error", err)
		}
		d.fanout.done(l, x, again)
	}
}

// attempt files what a row owes, if it is still owed.
func (d *Deliverer) attempt(ctx context.Context, l lane, x queue.Ref) error {
	ctx, cancel := context.WithTimeout(ctx, d.times.fan)
	defer cancel()
	m := d.o.Machine(l.home)
	if m == nil {
		return nil // the group has left this node
	}
	asOf, err := d.confirm(ctx, l.home, m)
	if err != nil {
		return err
	}
	o, err := m.Owed(x)
	if rookery.Is(err, rookery.KindNotFound) {
		return nil
	}
	if err != nil || !d.mine(l.home, o.Row.Due) {
		return err
	}
	if stopped, err := d.stop(ctx, l.home, &o); stopped || err != nil {
		return err
	}
	return d.fan(ctx, l.home, o, asOf.Add(d.times.fan))
}

// confirm gives a moment, at most confirmedFor ago, up to which this node knows
// what the group has agreed on: a replica that lags behind shows items that
// ended long ago.
func (d *Deliverer) confirm(ctx context.Context, home rookery.GroupID, m *mailbox.Machine) (time.Time, error) {
	now := d.o.Clock()
	if agreed := time.Unix(0, m.Time()); agreed.After(now) {
		now = agreed // the others' clocks judge what is late
	}
	if at, ok := d.fanout.confirmed(home, now); ok {
		return at, nil
	}
	if err := d.o.Log.Barrier(ctx, home); err != nil {
		return now, err
	}
	d.fanout.confirm(home, now)
	return now, nil
}

// fan files what a row owes, once however often it is tried, and ends the row.
// Accounts that have moved since get theirs where they are.
func (d *Deliverer) fan(ctx context.Context, home rookery.GroupID, o mailbox.Owed, until time.Time) error {
	err := d.o.Accounts.Patiently(ctx, func() error {
		parts, err := d.regroup(ctx, o.Row.Deliveries)
		if err != nil {
			return err
		}
		for _, part := range parts {
			if err := d.fanTo(ctx, home, o, part, until); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, _, err = d.apply(ctx, home, &command.ItemResult{Item: o.Item, Row: o.N})
	return err
}

func (d *Deliverer) fanTo(ctx context.Context, home rookery.GroupID, o mailbox.Owed, part portion, until time.Time) error {
	c := d.carrier(ctx, part.group)
	err := d.read(ctx, home, o.Body, c.write)
	if err != nil {
		c.abandon()
		return err
	}
	cmd := &command.Deliver{Email: o.Header.Email, Deliveries: part.deliveries, Size: o.Header.Size,
		Extract: o.Extract, Layout: o.Body.Layout, FromItem: &o.Item, Until: until.UnixNano()}
	r, _, err := c.deliver(cmd)
	if err != nil {
		c.abandon()
		return err
	}
	d.missed(cmd, r)
	return nil
}

// read passes a stored body on as it is encoded.
func (d *Deliverer) read(ctx context.Context, group rookery.GroupID, b mailbox.Body, emit func([]byte) error) error {
	buf := make([]byte, min(b.Encoded, command.MaxChunk))
	for off := int64(0); off < b.Encoded; {
		p := buf[:min(int64(len(buf)), b.Encoded-off)]
		if err := d.o.ReadBody(ctx, group, b, p, off); err != nil {
			return rookery.E("read body for further groups", rookery.KindUnknown, err)
		}
		if err := emit(p); err != nil {
			return err
		}
		off += int64(len(p))
	}
	return nil
}
