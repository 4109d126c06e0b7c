package delivery

import (
	"context"
	"fmt"
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
	// orphan is how old an intent is when a leader finishes it in the place of
	// the node that made it.
	orphan time.Duration
	// fan bounds one attempt at one intent, from the moment it was read.
	fan time.Duration
	// forget is how long the mark of a finished intent stays in the groups it
	// was filed in. It is far above fan: an attempt begun before the intent
	// ended may still arrive, and must find the mark.
	forget time.Duration
	// sweep is how often finished intents are looked for.
	sweep time.Duration
}

var defaultTimes = times{poll: 5 * time.Second, orphan: 15 * time.Second, fan: 5 * time.Minute,
	forget: time.Hour, sweep: 10 * time.Minute}

// page is how many intents are read at once, workers how many are filed at
// once.
const (
	page    = 64
	workers = 8
)

// markKey names the mark of a filed intent in a group.
type markKey struct {
	group  rookery.GroupID
	intent command.IntentID
}

// claim notes an intent as this node's to finish at once.
func (d *Deliverer) claim(id command.IntentID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.own[id] = true
}

func (d *Deliverer) disown(id command.IntentID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.own, id)
}

// poke wakes Run.
func (d *Deliverer) poke() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Run finishes the intents of messages for several groups until ctx ends: those
// of this process at once, and those that a stopped process left after a while,
// where this node leads the group.
func (d *Deliverer) Run(ctx context.Context) error {
	tick := time.NewTicker(d.times.poll)
	defer tick.Stop()
	swept := d.o.Clock()
	for {
		var wg sync.WaitGroup
		for _, g := range d.o.Groups() {
			wg.Go(func() { d.finish(ctx, g) })
		}
		wg.Wait()
		if now := d.o.Clock(); now.Sub(swept) >= d.times.sweep {
			swept = now
			d.forget(ctx)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.wake:
		case <-tick.C:
		}
	}
}

// finish files what a group's intents owe.
func (d *Deliverer) finish(ctx context.Context, home rookery.GroupID) {
	m := d.o.Machine(home)
	if m == nil {
		return
	}
	// The cheap look first: mostly there is nothing.
	if some, err := m.Intents(command.IntentID{}, 1); err != nil || len(some) == 0 {
		return
	}
	// A replica that lags behind shows intents that ended long ago.
	if err := d.o.Log.Barrier(ctx, home); err != nil {
		return
	}
	slots := make(chan struct{}, workers)
	var wg sync.WaitGroup
	defer wg.Wait()
	for after := (command.IntentID{}); ; {
		intents, err := m.Intents(after, page)
		if err != nil {
			d.o.Logger.Error("delivery: intents cannot be read", "group", home, "error", err)
			return
		}
		for _, in := range intents {
			after = in.ID
			if !d.due(home, in) {
				continue
			}
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			wg.Go(func() {
				defer func() { <-slots }()
				d.attempt(ctx, home, in)
			})
		}
		if len(intents) < page {
			return
		}
	}
}

// due reports whether this node works on an intent now.
func (d *Deliverer) due(home rookery.GroupID, in mailbox.Intent) bool {
	d.mu.Lock()
	own := d.own[in.ID]
	d.mu.Unlock()
	return own || d.o.Leader(home) && d.o.Clock().Sub(time.Unix(0, in.Time)) >= d.times.orphan
}

// attempt files one intent in each group it owes; what fails stays open for the
// next round.
func (d *Deliverer) attempt(ctx context.Context, home rookery.GroupID, in mailbox.Intent) {
	ctx, cancel := context.WithTimeout(ctx, d.times.fan)
	defer cancel()
	for _, rest := range in.Rest {
		if err := d.fan(ctx, home, in, rest); err != nil {
			d.o.Logger.Warn("delivery: an accepted message is not filed everywhere yet; trying again",
				"intent", fmt.Sprintf("%x", in.ID), "group", rest.Group, "error", err)
			return
		}
	}
	d.disown(in.ID)
}

// fan files what an intent owes to one group, once however often it is tried,
// and strikes the group off the intent. Accounts that have moved since get
// theirs where they are.
func (d *Deliverer) fan(ctx context.Context, home rookery.GroupID, in mailbox.Intent, rest command.GroupDeliveries) error {
	err := d.wherever(ctx, func() error {
		parts, err := d.regroup(ctx, rest)
		if err != nil {
			return err
		}
		for _, part := range parts {
			if err := d.fanTo(ctx, home, in, part); err != nil {
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

func (d *Deliverer) fanTo(ctx context.Context, home rookery.GroupID, in mailbox.Intent, part command.GroupDeliveries) error {
	c := d.carrier(ctx, part.Group)
	err := d.read(ctx, home, in.Body, c.write)
	if err != nil {
		c.abandon()
		return err
	}
	id := in.ID
	cmd := &command.Deliver{Email: in.Email, Deliveries: part.Deliveries, Size: in.Size,
		Extract: in.Extract, Layout: in.Body.Layout, FromIntent: &id, Each: d.accountsMove()}
	r, _, err := c.deliver(cmd)
	if err != nil {
		c.abandon()
		return err
	}
	d.judge(cmd, r)
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

// forget drops the marks of intents that ended long ago, in the groups that
// this node leads.
func (d *Deliverer) forget(ctx context.Context) {
	open, ok := d.openIntents(ctx)
	if !ok {
		return
	}
	now := d.o.Clock()
	seen := make(map[markKey]bool)
	for _, g := range d.o.Groups() {
		if m := d.o.Machine(g); m != nil && d.o.Leader(g) {
			d.forgetIn(ctx, g, m, open, now, seen)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for k := range d.marks {
		if !seen[k] {
			delete(d.marks, k)
		}
	}
}

// openIntents lists every open intent of every group; false when one of them
// cannot be asked.
func (d *Deliverer) openIntents(ctx context.Context) (map[command.IntentID]bool, bool) {
	open := make(map[command.IntentID]bool)
	for _, g := range d.o.Groups() {
		for after := (command.IntentID{}); ; {
			ids, err := d.intentsOf(ctx, g, after)
			if err != nil {
				return nil, false
			}
			for _, id := range ids {
				open[id] = true
				after = id
			}
			if len(ids) < page {
				break
			}
		}
	}
	return open, true
}

// intentsOf is a page of a group's open intents, wherever the group is.
func (d *Deliverer) intentsOf(ctx context.Context, g rookery.GroupID, after command.IntentID) ([]command.IntentID, error) {
	if d.o.Machine(g) == nil && d.o.OpenIntents != nil {
		return d.o.OpenIntents(ctx, g, after, page)
	}
	return d.IntentsHere(ctx, g, after, page)
}

// IntentsHere is a page of the open intents of a group with a replica here,
// behind a read barrier. KindUnavailable: there is none, or no leader.
func (d *Deliverer) IntentsHere(ctx context.Context, g rookery.GroupID, after command.IntentID, limit int) ([]command.IntentID, error) {
	m := d.o.Machine(g)
	if m == nil {
		return nil, rookery.E("list intents", rookery.KindUnavailable, fmt.Errorf("group %d has no replica on this node", g))
	}
	if err := d.o.Log.Barrier(ctx, g); err != nil {
		return nil, err
	}
	intents, err := m.Intents(after, limit)
	ids := make([]command.IntentID, len(intents))
	for i, in := range intents {
		ids[i] = in.ID
	}
	return ids, err
}

// forgetIn drops a group's marks that have been without their intent for long
// enough.
func (d *Deliverer) forgetIn(ctx context.Context, g rookery.GroupID, m *mailbox.Machine, open map[command.IntentID]bool,
	now time.Time, seen map[markKey]bool) {
	for after := (command.IntentID{}); ctx.Err() == nil; {
		ids, err := m.Filed(after, page)
		if err != nil {
			return
		}
		for _, id := range ids {
			after = id
			k := markKey{g, id}
			if open[id] || !d.ripe(k, now) {
				seen[k] = !open[id]
				continue
			}
			if _, _, err := d.apply(ctx, g, &command.IntentForget{Intent: id}); err != nil {
				return
			}
		}
		if len(ids) < page {
			return
		}
	}
}

// ripe notes when a mark was first seen without its intent and reports whether
// that is long enough ago.
func (d *Deliverer) ripe(k markKey, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	since, ok := d.marks[k]
	if !ok {
		d.marks[k] = now
		return false
	}
	return now.Sub(since) >= d.times.forget
}
