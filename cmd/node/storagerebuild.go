package node

import (
	"context"
	"maps"
	"slices"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/objects"
	"rookery/cmd/node/peers"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
)

// rebuilding is a group's part of a rebuild.
type rebuilding struct {
	m      *mailbox.Machine
	c      *pack.Checker
	sought map[command.BodyID]bool
}

// rebuildStorage compares the state of the groups here with their packs'
// indexes, then goes through all packs for what is sought.
func (n *Node) rebuildStorage(ctx context.Context, o adminapi.RebuildOrder, event func(any) error) error {
	tell := func(e adminapi.CheckEvent) error { return event(adminapi.RebuildEvent{CheckEvent: e}) }
	ids, err := n.groups.Placed()
	if err != nil {
		return err
	}
	groups := map[rookery.GroupID]*rebuilding{}
	for _, id := range ids {
		if groups[id], err = n.seek(ctx, id, tell); err != nil {
			return err
		}
		if groups[id] == nil {
			delete(groups, id)
			if err := event(adminapi.RebuildEvent{NotHere: id}); err != nil {
				return err
			}
		}
	}
	if err := pack.Rebuild(ctx, n.bodies.store, func(r pack.Rebuilt) error {
		if g := groups[r.Group]; g != nil {
			g.c.Places(r, g.sought)
		}
		return event(adminapi.RebuildEvent{Pack: objects.Indexed(r)})
	}); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(groups)) {
		g := groups[id]
		x := adminapi.ComparedGroup{Group: id, Sought: len(g.sought)}
		for b := range g.sought {
			if _, ok := g.c.Elsewhere(b); ok {
				x.Found++
			}
		}
		if err := event(adminapi.RebuildEvent{Compared: &x}); err != nil {
			return err
		}
		if err := n.mend(ctx, peers.GroupCheck{Group: id, CheckOrder: adminapi.CheckOrder{Repair: o.Repair}}, g.m, g.c, tell); err != nil {
			return err
		}
	}
	return nil
}

// seek finds the bodies of a group that are not where its state says, nil where
// the group has no replica here.
func (n *Node) seek(ctx context.Context, id rookery.GroupID, tell func(adminapi.CheckEvent) error) (*rebuilding, error) {
	m := n.groups.Machine(id)
	if m == nil {
		return nil, nil
	}
	sync := func(ctx context.Context) error { return n.groups.Barrier(ctx, id) }
	if err := sync(ctx); err != nil {
		return nil, err
	}
	g := &rebuilding{m: m, sought: map[command.BodyID]bool{}}
	g.c = pack.NewChecker(pack.CheckOptions{
		Group: id, State: m, Store: n.bodies.store, Sync: sync, IndexOnly: true,
		Found: func(f pack.Finding) error { return tell(adminapi.CheckEvent{Finding: &f}) },
	})
	var told time.Time
	err := g.c.Run(ctx, "", true, func(mailbox.Pack) bool { return true }, func(p pack.Progress) error {
		if time.Since(told) < progressEvery {
			return nil
		}
		told = time.Now()
		return tell(adminapi.CheckEvent{Progress: &adminapi.CheckProgress{Group: id, Progress: p}})
	})
	for _, b := range g.c.Needed() {
		g.sought[b] = true
	}
	if err != nil {
		return nil, rookery.E("rebuild index", 0, err)
	}
	return g, nil
}
