package objects

import (
	"time"

	"rookery"
	"rookery/cmd/node/settings"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
)

// UseGarbage puts changed settings of rewriting into force.
func (s *Service) UseGarbage(g *settings.Garbage) {
	s.garbage.Store(g)
	s.budget.Set(g.RepackRate << 20)
}

// Garbage are the settings in force of what is rewritten and swept.
func (s *Service) Garbage() *settings.Garbage { return s.garbage.Load() }

// Repack says which packs are rewritten.
func (s *Service) Repack() pack.Repack {
	g := s.garbage.Load()
	return pack.Repack{Below: g.RepackBelow, After: settings.Span(g.RepackAfter), Merge: settings.Span(g.MergeAfter)}
}

// packTime names packs: never behind group time, which another node's clock
// may have driven on and by which names expire. A name in the future would keep
// an orphan for as long.
func (s *Service) packTime(m *mailbox.Machine) func() time.Time {
	return func() time.Time {
		now, err := s.o.Clocks.Now()
		if err != nil {
			now = s.o.Clock() // packing goes on: the disk is finite
		}
		if agreed := time.Unix(0, m.Time()); agreed.After(now) {
			return agreed
		}
		return now
	}
}

// Deletable lets go of a group's packs that have been dead for a while and are
// kept by no hold, neither one that the group has nor one that it is still to
// get.
func (s *Service) Deletable(id rookery.GroupID, p mailbox.Pack) (bool, error) {
	m := s.o.Replicas.Machine(id)
	if m == nil {
		return false, nil
	}
	now, err := s.o.Replicas.JobTime(s.o.Clocks, id)
	if err != nil || now.Sub(time.Unix(0, p.Dead)) <= s.o.DeadFor {
		return false, err
	}
	if missing, err := s.holdsMissing(m); err != nil || len(missing) > 0 {
		return false, err
	}
	why, err := m.Keeper(p, now.UnixNano())
	return err == nil && why == "", err
}
