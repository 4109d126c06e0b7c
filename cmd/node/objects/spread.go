package objects

import (
	"context"
	"slices"
	"time"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/holds"
	"rookery/storage/mailbox"
	"rookery/storage/system"
)

// holdsMissing are the operators' holds that a group does not have yet.
func (s *Service) holdsMissing(m *mailbox.Machine) (missing []system.Hold, err error) {
	want, err := s.o.Replicas.System().Holds()
	if err != nil || len(want) == 0 {
		return nil, err
	}
	have, err := m.Holds()
	for _, h := range want {
		if !slices.ContainsFunc(have, func(x holds.Hold) bool { return x.Kind == command.HoldOperator && x.Name == h.Name }) {
			missing = append(missing, h)
		}
	}
	return missing, err
}

// holdsEvery is how often groups are compared with the operators' holds.
const holdsEvery = 30 * time.Second

// spreadHolds brings the operators' holds to the groups this node leads, those
// that were added since included, and takes lifted ones off.
func (s *Service) spreadHolds(ctx context.Context) error {
	return s.o.Replicas.Follow(ctx, holdsEvery, func() {
		s.o.Replicas.EachLed(ctx, "the holds on stored bytes cannot be brought to a group; it deletes nothing until this works", s.SpreadHolds)
	})
}

// SpreadHolds brings the operators' holds to a group, and takes lifted ones off.
func (s *Service) SpreadHolds(ctx context.Context, id rookery.GroupID) error {
	m := s.o.Replicas.Machine(id)
	if m == nil {
		return nil
	}
	missing, err := s.holdsMissing(m)
	if err != nil {
		return err
	}
	for _, h := range missing {
		if err := s.o.Replicas.Commit(ctx, id, holdOf(h)); err != nil {
			return err
		}
	}
	have, err := m.Holds()
	if err != nil {
		return err
	}
	for _, h := range have {
		if h.Kind != command.HoldOperator {
			continue
		}
		// The system group's word counts only behind a barrier: this node may
		// not have heard of a hold that was just placed.
		if err := s.o.Replicas.Barrier(ctx, rookery.SystemGroup); err != nil {
			return err
		}
		want, err := s.o.Replicas.System().Holds()
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(want, func(x system.Hold) bool { return x.Name == h.Name }) {
			if err := s.o.Replicas.Commit(ctx, id, &command.Release{Kind: h.Kind, Name: h.Name}); err != nil {
				return err
			}
		}
	}
	return nil
}

func holdOf(h system.Hold) *command.Hold {
	return &command.Hold{Kind: command.HoldOperator, Name: h.Name, From: h.From, To: h.To, Reason: h.Reason}
}
