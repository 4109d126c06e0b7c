package delivery

import (
	"context"
	"fmt"
	"time"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// markKey names the mark of a filed intent in a group.
type markKey struct {
	group  rookery.GroupID
	intent command.IntentID
}

// forgetting drops marks from time to time until ctx ends.
func (d *Deliverer) forgetting(ctx context.Context) {
	tick := time.NewTicker(d.times.poll)
	defer tick.Stop()
	for swept := d.o.Clock(); ; {
		if now := d.o.Clock(); now.Sub(swept) >= d.times.sweep {
			swept = now
			d.forget(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
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
	open, err := m.OpenIntents(after, limit)
	ids := make([]command.IntentID, len(open))
	for i, x := range open {
		ids[i] = x.ID
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
