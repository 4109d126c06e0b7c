package backups

import (
	"context"
	"sync/atomic"
	"time"

	"rookery"
	"rookery/backup/archive"
	rlog "rookery/cluster/log"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/state"
)

// group archives one group while this node leads it.
type group struct {
	id     rookery.GroupID
	store  *opened
	cancel context.CancelFunc
	ended  chan struct{}
	now    chan chan error
	at     atomic.Pointer[archive.Position]
	oldest atomic.Pointer[oldest]
	failed string
}

// lead begins and ends to archive groups as this node comes to lead them.
func (s *Service) lead(ctx context.Context) {
	store := s.store.Load()
	led := map[rookery.GroupID]bool{}
	if store != nil {
		for _, id := range append(s.o.Replicas.Here(), rookery.SystemGroup) {
			led[id] = s.o.Replicas.Leads(id)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, g := range s.groups {
		if !led[id] || g.store != store {
			g.cancel()
			select {
			case <-g.ended:
				delete(s.groups, id)
			default: // it ends in its own time, and another begins then
			}
		}
	}
	for id, leads := range led {
		if leads && s.groups[id] == nil {
			s.groups[id] = s.begin(ctx, id, store)
		}
	}
	if store == nil && !s.o.Settings().On() {
		s.endArchives(ctx)
	}
}

// stop ends all of it.
func (s *Service) stop() {
	s.mu.Lock()
	s.begun = nil
	var ended []chan struct{}
	for _, g := range s.groups {
		g.cancel()
		ended = append(ended, g.ended)
	}
	for _, j := range s.jobs {
		j.cancel()
		ended = append(ended, j.ended)
	}
	s.mu.Unlock()
	for _, e := range ended {
		<-e
	}
}

func (s *Service) begin(ctx context.Context, id rookery.GroupID, store *opened) *group {
	ctx, cancel := context.WithCancel(ctx)
	g := &group{id: id, store: store, cancel: cancel, ended: make(chan struct{}), now: make(chan chan error)}
	go func() {
		defer close(g.ended)
		s.run(ctx, g)
	}()
	return g
}

// Pauses between steps: usually, and at most after failures.
const (
	stepEvery = time.Second
	stepMost  = 15 * time.Second
)

// leadsWait bounds how long a leader takes to make sure that it is one.
const leadsWait = 2 * time.Second

func (s *Service) run(ctx context.Context, g *group) {
	a := s.archiver(g)
	if a == nil {
		return // its replica has just left
	}
	pause := stepEvery
	for ctx.Err() == nil {
		var asked chan error
		select {
		case <-ctx.Done():
			return
		case asked = <-g.now:
		case <-time.After(pause):
		}
		err := a.Step(ctx, asked != nil, s.due(g.id))
		if asked != nil {
			asked <- err
		}
		at := a.Position()
		g.at.Store(&at)
		pause = stepEvery
		if err != nil && ctx.Err() == nil {
			pause = min(2*pause, stepMost)
		}
		if err != nil && ctx.Err() == nil {
			s.steps.Add(1)
		}
		s.note(g, err, ctx.Err() == nil)
	}
}

// note logs a failure that is new.
func (s *Service) note(g *group, err error, counts bool) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	s.mu.Lock()
	old := g.failed
	if counts {
		g.failed = text
	}
	s.mu.Unlock()
	if counts && text != "" && text != old {
		s.o.Logger.Warn("a group cannot be archived now; its log is kept until it can", "group", g.id, "error", err)
	}
}

// archiver makes what archives a group; nil where it has no replica here.
func (s *Service) archiver(g *group) *archive.Archiver {
	r := s.o.Replicas.Group(g.id)
	if r == nil {
		return nil
	}
	o := archive.Options{
		Cluster: s.o.Cluster, Group: g.id, State: r.Machine().(*state.Group), Store: g.store, Keys: s.o.Keys, Logger: s.o.Logger,
		Clock: s.o.Clock,
		Read: func(ctx context.Context, in rlog.Range, each func(rlog.Entry) error) error {
			return s.o.Replicas.ReadCommitted(ctx, g.id, in, each)
		},
		ReadLog: func(ctx context.Context, index rookery.LogIndex, term uint64, p []byte, off int64) error {
			return s.o.Replicas.ReadLog(ctx, g.id, index, term, p, off)
		},
		Propose: func(ctx context.Context, c command.Command) error { return s.o.Replicas.Commit(ctx, g.id, c) },
		Leads: func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, leadsWait)
			defer cancel()
			index, err := r.ReadIndex(ctx)
			if err == nil {
				err = r.Wait(ctx, index)
			}
			return err
		},
	}
	if m := s.o.Replicas.Machine(g.id); m != nil {
		o.Bodies = func(id mailbox.BodyID) (mailbox.Body, error) { return m.Body(id) }
	}
	return archive.New(o)
}

// due says when an image is due: at night, each group a little later than the one
// before it.
func (s *Service) due(id rookery.GroupID) func(time.Time) string {
	return func(last time.Time) string {
		set := s.o.Settings()
		if last.Before(lastNight(s.o.Clock(), &set, id)) {
			return "it is night"
		}
		return ""
	}
}

// endArchives switches archiving off in the groups that this node leads.
func (s *Service) endArchives(ctx context.Context) {
	for _, id := range append(s.o.Replicas.Here(), rookery.SystemGroup) {
		if _, on, err := s.archived(id); err != nil || !on || !s.o.Replicas.Leads(id) {
			continue
		}
		if err := s.o.Replicas.Commit(ctx, id, &command.Archived{End: true}); err != nil {
			s.o.Logger.Warn("archiving of a group cannot be ended yet; trying again", "group", id, "error", err)
		}
	}
}

// archived is how far the archive of a group with a replica here is.
func (s *Service) archived(id rookery.GroupID) (upto rookery.LogIndex, on bool, err error) {
	r := s.o.Replicas.Group(id)
	if r == nil {
		return 0, false, nil
	}
	snap := r.Machine().(*state.Group).Read()
	defer snap.Close()
	return snap.Archived()
}

// floors keeps in this node's log what is not archived yet, also where another node
// leads and archives.
func (s *Service) floors(context.Context) {
	for _, id := range append(s.o.Replicas.Here(), rookery.SystemGroup) {
		upto, on, err := s.archived(id)
		floor := upto + 1
		if !on {
			floor = rlog.Released
		}
		if err == nil {
			var l *rlog.Group
			if l, err = s.o.Replicas.Log().Group(id); err == nil {
				err = l.SetFloor(rlog.ArchiveFloor, floor)
			}
		}
		if err != nil {
			s.o.Logger.Warn("the log cannot be released; it grows until this works", "group", id, "error", err)
		}
	}
}
