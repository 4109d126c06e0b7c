package objects

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/storage/command"
	"rookery/storage/propose"
)

// holdWait bounds the wait for one group.
const holdWait = 5 * time.Second

// PlaceHold records a hold for the cluster and brings it to every group.
func (s *Service) PlaceHold(ctx context.Context, o adminapi.HoldOrder) (a adminapi.HoldAnswer, err error) {
	now, err := s.o.Clocks.Now() // a hold from a time to come would keep nothing yet
	if err != nil {
		return a, err
	}
	if o.From.IsZero() {
		o.From = now
	}
	h := command.Hold{Kind: command.HoldOperator, Name: o.Name, Reason: o.Reason, From: max(0, o.From.UnixNano())}
	if !o.To.IsZero() {
		h.To = o.To.UnixNano()
	}
	if _, err := s.o.Replicas.ProposeSystem(ctx, &command.PlaceHold{Hold: h, Time: now.UnixNano()}); err != nil {
		return a, err
	}
	s.o.Logger.Info("a hold was placed", "name", o.Name, "reason", o.Reason)
	return s.everyGroup(ctx, &h)
}

// LiftHold takes a hold back.
func (s *Service) LiftHold(ctx context.Context, name string) (a adminapi.HoldAnswer, err error) {
	if err := s.o.Replicas.Barrier(ctx, rookery.SystemGroup); err != nil {
		return a, err
	}
	holds, err := s.o.Replicas.System().Holds()
	if err != nil {
		return a, err
	}
	known := false
	for _, h := range holds {
		known = known || h.Name == name
	}
	if !known {
		return a, rookery.E("release hold", rookery.KindNotFound, fmt.Errorf("there is no hold %q; see: rookery backup hold list", name))
	}
	if _, err := s.o.Replicas.ProposeSystem(ctx, &command.LiftHold{Name: name}); err != nil {
		return a, err
	}
	s.o.Logger.Info("a hold was released", "name", name)
	return s.everyGroup(ctx, &command.Release{Kind: command.HoldOperator, Name: name})
}

// everyGroup proposes a command to each mail group and says which took it.
func (s *Service) everyGroup(ctx context.Context, c command.Command) (a adminapi.HoldAnswer, err error) {
	ids, err := s.o.Replicas.Placed()
	if err != nil {
		return a, err
	}
	a.Groups, a.Pending = []rookery.GroupID{}, []rookery.GroupID{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, id := range ids {
		all.Go(func() {
			wait, cancel := context.WithTimeout(ctx, holdWait)
			defer cancel()
			_, _, err := propose.Command(wait, s.o.Replicas, id, c)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				s.o.Logger.Warn("a group did not take a hold or its release yet", "group", id, "error", err)
				a.Pending = append(a.Pending, id)
				return
			}
			a.Groups = append(a.Groups, id)
		})
	}
	all.Wait()
	slices.Sort(a.Groups)
	slices.Sort(a.Pending)
	return a, nil
}
