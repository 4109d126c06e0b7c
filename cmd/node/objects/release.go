package objects

import (
	"context"
	"time"

	"rookery"
	rlog "rookery/cluster/log"
	"rookery/storage/pack"
)

// releaseEvery is how often the log is released on nodes that do not pack, and
// squeezeEvery how often everything is let go of that can be while the disk is
// short.
const (
	releaseEvery = 30 * time.Second
	squeezeEvery = 5 * time.Second
)

// releaseLog lets every replica's log go as far as its bodies are packed, also
// where another node leads and packs.
func (s *Service) releaseLog(ctx context.Context) error {
	i := 0
	return s.o.Replicas.Follow(ctx, squeezeEvery, func() {
		short := s.o.Replicas.Log().Stats().Short
		if short || i%int(releaseEvery/squeezeEvery) == 0 {
			for _, id := range s.o.Replicas.Here() {
				s.release(id)
			}
			s.o.Replicas.Squeeze(short)
		}
		i++
	})
}

// release lets the log recycle what lies below the oldest unpacked body.
func (s *Service) release(id rookery.GroupID) {
	g := s.o.Replicas
	m, r := g.Machine(id), g.Group(id)
	if m == nil || r == nil {
		return // it has just left
	}
	floor, err := pack.Floor(m, func() rookery.LogIndex {
		applied, _ := r.Machine().Applied()
		return applied
	})
	if err == nil {
		var l *rlog.Group
		if l, err = g.Log().Group(id); err == nil {
			err = l.SetFloor(rlog.BodiesFloor, floor)
		}
	}
	if err != nil {
		s.o.Logger.Warn("the log cannot be released; it grows until this works", "group", id, "error", err)
	}
}
