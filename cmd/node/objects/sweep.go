package objects

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/settings"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
)

// Sweep is rookery storage sweep. The last event is the whole result.
func (s *Service) Sweep(ctx context.Context, o adminapi.SweepOrder, event func(any) error) error {
	var last time.Time
	done, err := s.SweepOrphans(ctx, o.Delete,
		func(x pack.Orphan) error { return event(adminapi.SweepEvent{Orphan: &x}) },
		func(s pack.Swept) error {
			if time.Since(last) < progressEvery {
				return nil
			}
			last = time.Now()
			return event(adminapi.SweepEvent{Progress: &s})
		})
	if err != nil {
		return err
	}
	return event(adminapi.SweepEvent{Progress: &done})
}

// SweepOrphans looks through the object store for packs that no group knows.
func (s *Service) SweepOrphans(ctx context.Context, act bool, found func(pack.Orphan) error,
	progress func(pack.Swept) error) (pack.Swept, error) {
	cluster := s.o.Peers.Certificate().Cluster
	if err := pack.Claim(ctx, s.Store, cluster); err != nil {
		return pack.Swept{}, err
	}
	s.lookForRivals(ctx)
	if err := s.o.Replicas.Barrier(ctx, rookery.SystemGroup); err != nil { // so that no group is taken for foreign
		return pack.Swept{}, err
	}
	ids, err := s.o.Replicas.Placed()
	if err != nil {
		return pack.Swept{}, err
	}
	life := s.o.NameLife
	mine := map[rookery.GroupID]bool{}
	for _, id := range ids {
		// Every group must answer, also one without objects: and its time moves
		// on, which an idle group's does not by itself.
		mine[id] = true
		if err := s.moveTime(ctx, id, life); err != nil {
			return pack.Swept{}, fmt.Errorf("group %d does not answer; nothing is deleted: %w", id, err)
		}
	}
	began, err := s.o.Clocks.Now()
	if err != nil {
		return pack.Swept{}, err
	}
	done, err := pack.Sweep(ctx, pack.SweepOptions{
		Store: s.Store, Cluster: cluster, Before: began.Add(-life), Delete: act, Found: found, Progress: progress,
		Strangers: func(ctx context.Context, id rookery.GroupID, packs []command.PackID) ([]command.PackID, error) {
			if !mine[id] {
				return nil, rookery.E("ask group", rookery.KindNotFound, fmt.Errorf("the cluster has no group %d", id))
			}
			return s.askStrangers(ctx, id, packs)
		},
	})
	if err == nil && act && !done.More {
		_, err = s.o.Replicas.ProposeSystem(ctx, &command.Swept{Time: began.UnixNano(), Objects: uint64(done.Deleted), Bytes: done.Bytes})
	}
	return done, err
}

// moveTime has a group agree on the life of names, which it has long done, at
// this time.
func (s *Service) moveTime(ctx context.Context, id rookery.GroupID, life time.Duration) error {
	_, _, err := s.o.Replicas.Propose(ctx, id, &command.NamePacks{Life: int64(life)})
	return err
}

// askStrangers asks a group, behind its read barrier.
func (s *Service) askStrangers(ctx context.Context, id rookery.GroupID, packs []command.PackID) (strangers []command.PackID, err error) {
	strangers, err = s.strangers.Ask(ctx, id, packs)
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

func (s *Service) strangersHere(ctx context.Context, m *mailbox.Machine, id rookery.GroupID,
	packs []command.PackID) ([]command.PackID, error) {
	if err := s.o.Replicas.Barrier(ctx, id); err != nil {
		return nil, notForeign(err)
	}
	strangers, err := m.Strangers(packs)
	return strangers, notForeign(err)
}

// dueEvery is how often it is asked whether a sweep is due.
const dueEvery = 10 * time.Minute

// sweepRegularly runs the scheduled sweep on the node that leads the system
// group, and claims the store for this cluster.
func (s *Service) sweepRegularly(ctx context.Context) error {
	wait := 5 * time.Second // the claim soon, also where the store is away at first
	for claimed := false; ; {
		if !claimed {
			err := pack.Claim(ctx, s.Store, s.o.Peers.Certificate().Cluster)
			if claimed = err == nil; claimed {
				wait = dueEvery
			} else {
				wait = min(2*wait, dueEvery)
			}
		}
		if claimed {
			s.lookForRivals(ctx)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
		if claimed && s.o.Replicas.Leads(rookery.SystemGroup) {
			s.SweepIfDue(ctx)
		}
	}
}

// lookForRivals notes which other clusters claim the store; what it cannot read
// changes nothing.
func (s *Service) lookForRivals(ctx context.Context) {
	others, err := pack.Owners(ctx, s.Store)
	if err != nil {
		return
	}
	mine := strings.ToLower(s.o.Peers.Certificate().Cluster)
	others = slices.DeleteFunc(others, func(c string) bool { return c == mine })
	s.rivals.Store(&others)
}

// SweepIfDue runs the scheduled sweep where the last one is long enough ago.
func (s *Service) SweepIfDue(ctx context.Context) {
	every := settings.Span(s.garbage.Load().SweepEvery)
	if every <= 0 {
		return
	}
	last, err := s.o.Replicas.System().Swept()
	if err != nil {
		return
	}
	if now, err := s.o.Clocks.Now(); err != nil || now.Sub(time.Unix(0, last.Time)) < every {
		return
	}
	done, err := s.SweepOrphans(ctx, true, func(pack.Orphan) error { return nil }, func(pack.Swept) error { return nil })
	switch {
	case err != nil && ctx.Err() == nil:
		s.o.Logger.Warn("the object store could not be swept; trying again later", "error", err)
	case err == nil:
		s.o.Logger.Info("the object store was swept", "objects", done.Objects, "orphans", done.Orphans, "bytes", done.Bytes,
			"deleted", done.Deleted, "uploads aborted", done.Aborted)
	}
}

// LastSweep is the last one that came to its end, nil before the first.
func (s *Service) LastSweep() (*adminapi.SweepStatus, error) {
	last, err := s.o.Replicas.System().Swept()
	if err != nil || last.Time == 0 {
		return nil, err
	}
	return &adminapi.SweepStatus{Time: time.Unix(0, last.Time).UTC(), Objects: last.Objects, Bytes: last.Bytes}, nil
}
