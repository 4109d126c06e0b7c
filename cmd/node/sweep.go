package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/settings"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
	"rookery/storage/propose"
)

// sweepStorage is rookery storage sweep. The last event is the whole result.
func (n *Node) sweepStorage(ctx context.Context, o adminapi.SweepOrder, event func(any) error) error {
	var told time.Time
	done, err := n.sweepOrphans(ctx, o.Delete,
		func(x pack.Orphan) error { return event(adminapi.SweepEvent{Orphan: &x}) },
		func(s pack.Swept) error {
			if time.Since(told) < progressEvery {
				return nil
			}
			told = time.Now()
			return event(adminapi.SweepEvent{Progress: &s})
		})
	if err != nil {
		return err
	}
	return event(adminapi.SweepEvent{Progress: &done})
}

// sweepOrphans looks through the object store for packs that no group knows.
func (n *Node) sweepOrphans(ctx context.Context, act bool, found func(pack.Orphan) error, progress func(pack.Swept) error) (pack.Swept, error) {
	cluster := n.peers.Certificate().Cluster
	if err := pack.Claim(ctx, n.bodies.store, cluster); err != nil {
		return pack.Swept{}, err
	}
	if err := n.groups.Barrier(ctx, rookery.SystemGroup); err != nil { // so that no group is taken for foreign
		return pack.Swept{}, err
	}
	ids, err := n.groups.Placed()
	if err != nil {
		return pack.Swept{}, err
	}
	life := n.deps.tuning.nameTime()
	mine := map[rookery.GroupID]bool{}
	for _, id := range ids {
		// Every group must answer, also one without objects: and its time moves
		// on, which an idle group's does not by itself.
		mine[id] = true
		if err := n.moveTime(ctx, id, life); err != nil {
			return pack.Swept{}, fmt.Errorf("group %d does not answer; nothing is deleted: %w", id, err)
		}
	}
	began, err := n.agreedTime()
	if err != nil {
		return pack.Swept{}, err
	}
	done, err := pack.Sweep(ctx, pack.SweepOptions{
		Store: n.bodies.store, Cluster: cluster, Before: began.Add(-life), Delete: act, Found: found, Progress: progress,
		Strangers: func(ctx context.Context, id rookery.GroupID, packs []command.PackID) ([]command.PackID, error) {
			if !mine[id] {
				return nil, rookery.E("ask group", rookery.KindNotFound, fmt.Errorf("the cluster has no group %d", id))
			}
			return n.strangers(ctx, id, packs)
		},
	})
	if err == nil && act && !done.More {
		_, err = n.groups.ProposeSystem(ctx, &command.Swept{Time: began.UnixNano(), Objects: uint64(done.Deleted), Bytes: done.Bytes})
	}
	return done, err
}

// moveTime has a group agree on the life of names, which it has long done, at
// this time.
func (n *Node) moveTime(ctx context.Context, id rookery.GroupID, life time.Duration) error {
	_, _, err := propose.Command(ctx, n.groups, id, &command.NamePacks{Life: int64(life)})
	return err
}

// strangers asks a group, behind its read barrier.
func (n *Node) strangers(ctx context.Context, id rookery.GroupID, packs []command.PackID) (strangers []command.PackID, err error) {
	strangers, err = n.questions.strangers.Ask(ctx, id, packs)
	return strangers, notForeign(err)
}

// notForeign keeps an answer of a node from being taken for the word that
// there is no such group.
func notForeign(err error) error {
	if rookery.Is(err, rookery.KindNotFound) {
		return rookery.E("ask group", rookery.KindUnavailable, errors.New(err.Error()))
	}
	return err
}

func (n *Node) strangersHere(ctx context.Context, m *mailbox.Machine, id rookery.GroupID, packs []command.PackID) ([]command.PackID, error) {
	if err := n.groups.Barrier(ctx, id); err != nil {
		return nil, notForeign(err)
	}
	strangers, err := m.Strangers(packs)
	return strangers, notForeign(err)
}

// sweepLook is how often it is looked whether a sweep is due.
const sweepLook = 10 * time.Minute

// sweepRegularly runs the scheduled sweep on the node that leads the system
// group, and claims the store for this cluster.
func (n *Node) sweepRegularly(ctx context.Context) error {
	wait := 5 * time.Second // the claim soon, also where the store is away at first
	for claimed := false; ; {
		if !claimed {
			err := pack.Claim(ctx, n.bodies.store, n.peers.Certificate().Cluster)
			if claimed = err == nil; claimed {
				wait = sweepLook
			} else {
				wait = min(2*wait, sweepLook)
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
		if claimed && n.groups.Leads(rookery.SystemGroup) {
			n.sweepIfDue(ctx)
		}
	}
}

func (n *Node) sweepIfDue(ctx context.Context) {
	every := settings.Span(n.bodies.garbage.Load().SweepEvery)
	if every <= 0 {
		return
	}
	last, err := n.system.Swept()
	if err != nil {
		return
	}
	if now, err := n.agreedTime(); err != nil || now.Sub(time.Unix(0, last.Time)) < every {
		return
	}
	done, err := n.sweepOrphans(ctx, true, func(pack.Orphan) error { return nil }, func(pack.Swept) error { return nil })
	switch {
	case err != nil && ctx.Err() == nil:
		n.deps.Logger.Warn("the object store could not be swept; trying again later", "error", err)
	case err == nil:
		n.deps.Logger.Info("the object store was swept", "objects", done.Objects, "orphans", done.Orphans, "bytes", done.Bytes, "deleted", done.Deleted, "uploads aborted", done.Aborted)
	}
}

func (n *Node) lastSweep() (*adminapi.SweepStatus, error) {
	last, err := n.system.Swept()
	if err != nil || last.Time == 0 {
		return nil, err
	}
	return &adminapi.SweepStatus{Time: time.Unix(0, last.Time).UTC(), Objects: last.Objects, Bytes: last.Bytes}, nil
}
