package objects

import (
	"context"
	"time"

	"rookery"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
)

// packing is a group's packer at work.
type packing struct {
	*pack.Packer
	stop context.CancelFunc
	done chan struct{} // closed when it has ended
}

// AddPacker gives a group that runs here its packer, unless it has one.
func (s *Service) AddPacker(id rookery.GroupID) {
	if _, have := s.packers.Load(id); have {
		return
	}
	g := s.o.Replicas
	p := pack.NewPacker(s.o.Tune(pack.Options{
		Group: id, Source: g.Machine(id), Log: g.ReadChecked, Store: s.Store, Propose: g.Commit, Logger: s.o.Logger,
		Packed:    func() { s.release(id) },
		Deletable: func(_ context.Context, p mailbox.Pack) (bool, error) { return s.Deletable(id, p) },
		Clock:     s.packTime(g.Machine(id)), Age: func() (time.Time, error) { return s.o.Replicas.JobTime(s.o.Clocks, id) },
		Repack: s.Repack, Budget: s.budget, Soon: s.o.Archiving,
	}))
	ctx, stop := context.WithCancel(context.Background())
	w := &packing{p, stop, make(chan struct{})}
	s.packers.Store(id, w)
	s.o.Go("packer", func(jobs context.Context) error {
		defer close(w.done)
		defer stop()
		defer context.AfterFunc(jobs, stop)()
		return s.pack(ctx, id, p)
	})
}

// RemovePacker ends a group's packer and waits for it.
func (s *Service) RemovePacker(id rookery.GroupID) {
	if w, have := s.packers.LoadAndDelete(id); have {
		w.(*packing).stop()
		<-w.(*packing).done
	}
}

// pack moves the bodies of one group into the object store while this node
// leads it.
func (s *Service) pack(ctx context.Context, id rookery.GroupID, p *pack.Packer) error {
	g := s.o.Replicas.Group(id)
	if g == nil {
		return nil
	}
	// The one channel is asked for first, so that no change is missed.
	changes := g.LeaderChanges()
	wait := func() (goes bool) {
		select {
		case _, goes = <-changes: // closed with the group
		case <-ctx.Done():
		}
		return goes
	}
	for ctx.Err() == nil {
		if !g.IsLeader() {
			if !wait() {
				return nil
			}
			continue
		}
		leading, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { p.Run(leading); close(done) }()
		for g.IsLeader() && wait() {
		}
		stop()
		<-done
	}
	return nil
}

// Unpacked says that a group has more bytes of bodies to pack. What is replayed
// before the group has a packer, that finds by itself.
func (s *Service) Unpacked(id rookery.GroupID, bytes int64) {
	if p, ok := s.packers.Load(id); ok {
		p.(*packing).Unpacked(bytes)
	}
}

// PackStats are the numbers of a group's packer, where it has one here.
func (s *Service) PackStats(id rookery.GroupID) (stats pack.Stats, have bool) {
	p, have := s.packers.Load(id)
	if have {
		stats = p.(*packing).Stats()
	}
	return stats, have
}
