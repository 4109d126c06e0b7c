package objects

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/peers"
	"rookery/storage/command"
	"rookery/storage/holds"
	"rookery/storage/mailbox"
)

func (s *Service) holdsHere(ctx context.Context, m *mailbox.Machine, id rookery.GroupID, _ peers.Nothing) ([]holds.Hold, error) {
	if err := s.o.Replicas.Barrier(ctx, id); err != nil {
		return nil, err
	}
	return m.Holds()
}

func (s *Service) holdsOf(ctx context.Context, id rookery.GroupID) ([]holds.Hold, error) {
	ctx, cancel := context.WithTimeout(ctx, holdWait)
	defer cancel()
	return s.holds.Ask(ctx, id, peers.Nothing{})
}

// Holds lists all holds. It asks every group.
func (s *Service) Holds(ctx context.Context) (l adminapi.HoldList, err error) {
	if err := s.o.Replicas.Barrier(ctx, rookery.SystemGroup); err != nil {
		return l, err
	}
	operators, err := s.o.Replicas.System().Holds()
	if err != nil {
		return l, err
	}
	ids, err := s.o.Replicas.Placed()
	if err != nil {
		return l, err
	}
	l.Unasked = []rookery.GroupID{}
	found := map[string]*adminapi.HoldStatus{}
	note := func(kind command.HoldKind, h holds.Hold) *adminapi.HoldStatus {
		key := fmt.Sprintf("%d %s", kind, h.Name)
		s := found[key]
		if s == nil {
			s = &adminapi.HoldStatus{Kind: kind.String(), Name: h.Name, From: time.Unix(0, h.From).UTC(), Reason: h.Reason,
				Placed: time.Unix(0, h.Placed).UTC(),
				Groups: []rookery.GroupID{}, Missing: []rookery.GroupID{}}
			if h.To > 0 {
				to := time.Unix(0, h.To).UTC()
				s.To = &to
			}
			found[key] = s
		}
		return s
	}
	for _, h := range operators {
		note(command.HoldOperator, holds.Hold{Name: h.Name, From: h.From, To: h.To, Placed: h.Placed, Reason: h.Reason})
	}
	for _, id := range ids {
		list, err := s.holdsOf(ctx, id)
		if err != nil {
			l.Unasked = append(l.Unasked, id)
			continue
		}
		for _, h := range list {
			s := note(h.Kind, h)
			s.Groups = append(s.Groups, id)
		}
		for _, h := range operators {
			if s := note(command.HoldOperator, holds.Hold{Name: h.Name}); !slices.Contains(s.Groups, id) {
				s.Missing = append(s.Missing, id)
			}
		}
	}
	l.Holds = make([]adminapi.HoldStatus, 0, len(found))
	for _, s := range found {
		l.Holds = append(l.Holds, *s)
	}
	slices.SortFunc(l.Holds, func(a, b adminapi.HoldStatus) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return l, nil
}
