package delivery

import (
	"context"
	"fmt"
	"time"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// markKey names the mark of a filed item in a group.
type markKey struct {
	group rookery.GroupID
	item  command.ItemID
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

// forget drops the marks of items that ended long ago, in the groups that
// this node leads.
func (d *Deliverer) forget(ctx context.Context) {
	open, ok := d.openItems(ctx)
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

// openItems lists every open item of every group; false when one of them
// cannot be asked.
func (d *Deliverer) openItems(ctx context.Context) (map[command.ItemID]bool, bool) {
	open := make(map[command.ItemID]bool)
	for _, g := range d.o.Groups() {
		for after := (command.ItemID{}); ; {
			ids, err := d.itemsOf(ctx, g, after)
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

// itemsOf is a page of a group's open items, wherever the group is.
func (d *Deliverer) itemsOf(ctx context.Context, g rookery.GroupID, after command.ItemID) ([]command.ItemID, error) {
	if d.o.Machine(g) == nil && d.o.OpenItems != nil {
		return d.o.OpenItems(ctx, g, after, page)
	}
	return d.ItemsHere(ctx, g, after, page)
}

// ItemsHere is a page of the open items of a group with a replica here,
// behind a read barrier. KindUnavailable: there is none, or no leader.
func (d *Deliverer) ItemsHere(ctx context.Context, g rookery.GroupID, after command.ItemID, limit int) ([]command.ItemID, error) {
	m := d.o.Machine(g)
	if m == nil {
		return nil, rookery.E("list items", rookery.KindUnavailable, fmt.Errorf("group %d has no replica on this node", g))
	}
	if err := d.o.Log.Barrier(ctx, g); err != nil {
		return nil, err
	}
	return m.OpenItems(after, limit)
}

// forgetIn drops a group's marks that have been without their item for long
// enough.
func (d *Deliverer) forgetIn(ctx context.Context, g rookery.GroupID, m *mailbox.Machine, open map[command.ItemID]bool,
	now time.Time, seen map[markKey]bool) {
	for after := (command.ItemID{}); ctx.Err() == nil; {
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
			if _, _, err := d.apply(ctx, g, &command.ItemForget{Item: id}); err != nil {
				return
			}
		}
		if len(ids) < page {
			return
		}
	}
}

// ripe notes when a mark was first seen without its item and reports whether
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
