package delivery

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// times are the times of the fan-out.
type times struct {
	// poll is how often open intents are looked for without being told.
	poll time.Duration
	// again is when an intent that could not be filed is tried again.
	again time.Duration
	// orphan is how old an intent is when replicas that do not lead file it,
	// too: the leader may not reach the other group.
	orphan time.Duration
	// fan bounds one attempt at one intent, from the moment it was known to be
	// open. What arrives later is refused.
	fan time.Duration
	// forget is how long the mark of a finished intent stays in the groups it
	// was filed in. It is far above fan: an attempt begun before the intent
	// ended may still arrive, and must find the mark or be too late.
	forget time.Duration
	// sweep is how often finished intents are looked for.
	sweep time.Duration
}

var defaultTimes = times{poll: time.Second, again: 5 * time.Second, orphan: 15 * time.Second, fan: 5 * time.Minute,
	forget: time.Hour, sweep: 10 * time.Minute}

// page is how many intents are read at once.
const page = 64

// Promised says that a group has just agreed on a message which is owed to
// further groups; the machine of every replica says so. Where this node leads,
// Run files it at once. It returns at once: who leads is asked by Run, for the
// answer may wait for a group that starts.
func (d *Deliverer) Promised(home rookery.GroupID, id command.IntentID, to []rookery.GroupID) {
	d.fanout.tell(promise{home, id, to})
}

// Led says that this node has come to lead a group: Run files what is owed
// still. It returns at once.
func (d *Deliverer) Led(home rookery.GroupID) { d.fanout.search(home) }

// Run files messages in their further groups until ctx ends. The leader of the
// group that promised them does it, wherever they came from: it has the
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
		for _, p := range d.fanout.told() {
			if d.o.Leader(p.home) {
				d.fanout.add(p.home, p.id, p.to, d.o.Clock())
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

// look finds what a group owes. Mostly there is nothing.
func (d *Deliverer) look(ctx context.Context, home rookery.GroupID) {
	m := d.o.Machine(home)
	if m == nil {
		return
	}
	for after := (command.IntentID{}); ctx.Err() == nil; {
		open, err := m.OpenIntents(after, page)
		if err != nil {
			d.o.Logger.Error("delivery: intents cannot be read", "group", home, "error", err)
			return
		}
		now := d.o.Clock()
		for _, x := range open {
			if after = x.ID; d.due(home, x.Time) {
				d.fanout.add(home, x.ID, x.To, now)
			}
		}
		if len(open) < page {
			return
		}
	}
}

// due reports whether this node works on an intent of a group and a time now.
func (d *Deliverer) due(home rookery.GroupID, at int64) bool {
	return d.o.Leader(home) || d.o.Clock().Sub(time.Unix(0, at)) >= d.times.orphan
}

// fill files what waits in a lane.
func (d *Deliverer) fill(ctx context.Context, l lane) {
	for {
		id, ok := d.fanout.take(l)
		if !ok {
			return
		}
		var again time.Time // at once, where it turns out to be open
		err := d.attempt(ctx, l, id)
		if err != nil && ctx.Err() == nil {
			again = d.o.Clock().Add(d.times.again)
			d.o.Logger.Warn("delivery: an accepted message is not filed everywhere yet; trying again",
				"intent", fmt.Sprintf("%x", id), "group", l.to, "error", err)
		}
		d.fanout.done(l, id, again)
	}
}

// attempt files one message in one further group, if it is still owed.
func (d *Deliverer) attempt(ctx context.Context, l lane, id command.IntentID) error {
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
	in, err := m.Intent(id)
	if rookery.Is(err, rookery.KindNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	i := slices.IndexFunc(in.Rest, func(x command.GroupDeliveries) bool { return x.Group == l.to })
	if i < 0 || !d.due(l.home, in.Time) {
		return nil
	}
	return d.fan(ctx, l.home, in, in.Rest[i], asOf.Add(d.times.fan))
}

// confirm gives a moment, at most confirmedFor ago, up to which this node knows
// what the group has agreed on: a replica that lags behind shows intents that
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

// fan files what an intent owes to one group, once however often it is tried,
// and strikes the group off the intent. Accounts that have moved since get
// theirs where they are.
func (d *Deliverer) fan(ctx context.Context, home rookery.GroupID, in mailbox.Intent, rest command.GroupDeliveries, until time.Time) error {
	err := d.wherever(ctx, func() error {
		parts, err := d.regroup(ctx, rest)
		if err != nil {
			return err
		}
		for _, part := range parts {
			if err := d.fanTo(ctx, home, in, part, until); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, _, err = d.apply(ctx, home, &command.IntentDone{Intent: in.ID, Group: rest.Group})
	return err
}

func (d *Deliverer) fanTo(ctx context.Context, home rookery.GroupID, in mailbox.Intent, part command.GroupDeliveries, until time.Time) error {
	c := d.carrier(ctx, part.Group)
	err := d.read(ctx, home, in.Body, c.write)
	if err != nil {
		c.abandon()
		return err
	}
	id := in.ID
	cmd := &command.Deliver{Email: in.Email, Deliveries: part.Deliveries, Size: in.Size,
		Extract: in.Extract, Layout: in.Body.Layout, FromIntent: &id, Until: until.UnixNano()}
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
