package objects

import (
	"context"
	"maps"
	"slices"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/peers"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/pack/check"
)

// rebuilding is a group's part of a rebuild.
type rebuilding struct {
	m      *mailbox.Machine
	c      *check.Checker
	sought map[command.BodyID]bool
}

// RebuildIndex compares the state of the groups here with their packs'
// indexes, then goes through all packs for what is sought.
func (u *Upkeep) RebuildIndex(ctx context.Context, o adminapi.RebuildOrder, event func(any) error) error {
	report := func(e adminapi.CheckEvent) error { return event(adminapi.RebuildEvent{CheckEvent: e}) }
	ids, err := u.o.Replicas.Placed()
	if err != nil {
		return err
	}
	groups := map[rookery.GroupID]*rebuilding{}
	for _, id := range ids {
		if groups[id], err = u.misplaced(ctx, id, report); err != nil {
			return err
		}
		if groups[id] == nil {
			delete(groups, id)
			if err := event(adminapi.RebuildEvent{NotHere: id}); err != nil {
				return err
			}
		}
	}
	if err := check.Rebuild(ctx, u.Store, func(r check.Rebuilt) error {
		if g := groups[r.Group]; g != nil {
			g.c.Places(r, g.sought)
		}
		return event(adminapi.RebuildEvent{Pack: Indexed(r)})
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
		if err := u.repair(ctx, peers.GroupCheck{Group: id, CheckOrder: adminapi.CheckOrder{Repair: o.Repair}}, g.m, g.c, report); err != nil {
			return err
		}
	}
	return nil
}

// misplaced finds the bodies of a group that are not where its state says, nil where
// the group has no replica here.
func (u *Upkeep) misplaced(ctx context.Context, id rookery.GroupID, report func(adminapi.CheckEvent) error) (*rebuilding, error) {
	m := u.o.Replicas.Machine(id)
	if m == nil {
		return nil, nil
	}
	sync := func(ctx context.Context) error { return u.o.Replicas.Barrier(ctx, id) }
	if err := sync(ctx); err != nil {
		return nil, err
	}
	g := &rebuilding{m: m, sought: map[command.BodyID]bool{}}
	g.c = check.New(check.Options{
		Group: id, State: m, Store: u.Store, Sync: sync, IndexOnly: true,
		Found: func(f check.Finding) error { return report(adminapi.CheckEvent{Finding: &f}) },
	})
	var reported time.Time
	err := g.c.Run(ctx, "", true, func(mailbox.Pack) bool { return true }, func(p check.Progress) error {
		if time.Since(reported) < progressEvery {
			return nil
		}
		reported = time.Now()
		return report(adminapi.CheckEvent{Progress: &adminapi.CheckProgress{Group: id, Progress: p}})
	})
	for _, b := range g.c.Needed() {
		g.sought[b] = true
	}
	if err != nil {
		return nil, rookery.E("rebuild index", 0, err)
	}
	return g, nil
}
