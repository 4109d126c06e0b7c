package objects

import (
	"context"
	"fmt"
	"time"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
	"rookery/storage/state"
)

// Report is of a group that this node leads.
func (s *Service) Report(id rookery.GroupID) (r peers.Packing) {
	if stats, ok := s.PackStats(id); ok {
		r = packingOf(stats)
	}
	if m := s.o.Replicas.Machine(id); m != nil {
		if at, err := s.oldest(id, m); err == nil && !at.IsZero() {
			r.Oldest = at.UnixNano()
		}
	}
	return r
}

func packingOf(s pack.Stats) peers.Packing {
	r := peers.Packing{Unreadable: s.Unreadable}
	if s.LastError != "" {
		r.Trouble, r.Since = s.LastError, s.Failing.UnixNano()
	}
	return r
}

// oldest is when the body that waits longest came into the log; the zero time
// where none waits.
func (s *Service) oldest(id rookery.GroupID, m *mailbox.Machine) (time.Time, error) {
	waiting, err := m.Unpacked(0, 1)
	if err != nil || len(waiting) == 0 || len(waiting[0].Log) == 0 {
		return time.Time{}, err
	}
	first := waiting[0].Log[0]
	// The envelope comes first in an entry, before the body.
	head := make([]byte, min(first.Off, 512))
	if err := s.o.Replicas.ReadLog(context.Background(), id, first.Index, first.Term, head, 0); err != nil {
		return time.Time{}, err
	}
	if nanos, ok := state.EntryTime(head); ok {
		return time.Unix(0, nanos), nil
	}
	return time.Time{}, nil
}

// summed are the sums of a group's packs for the status, at most once in a while:
// there may be very many.
type summed struct {
	at     time.Time
	totals mailbox.PackTotals
}

// statusEvery is how old the sums of the status may be.
const statusEvery = 30 * time.Second

// PackTotals gives the sums of a group's packs.
func (s *Service) PackTotals(id rookery.GroupID, m *mailbox.Machine) (mailbox.PackTotals, error) {
	if s, ok := s.totals.Load(id); ok && time.Since(s.(summed).at) < statusEvery {
		return s.(summed).totals, nil
	}
	t, err := m.PackTotals(int64(s.o.DeadFor))
	if err != nil {
		return t, fmt.Errorf("packs: %w", err)
	}
	s.totals.Store(id, summed{time.Now(), t})
	return t, nil
}

// Oldest is when the body of a group here that waits longest came into the log;
// the zero time where none waits, or nothing says when.
func (s *Service) Oldest(id rookery.GroupID) time.Time {
	m := s.o.Replicas.Machine(id)
	if m == nil {
		return time.Time{}
	}
	at, err := s.oldest(id, m)
	if err != nil {
		return time.Time{}
	}
	return at
}
