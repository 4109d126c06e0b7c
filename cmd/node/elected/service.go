// Package elected does what one node does for all of them with the directories: the
// leader of the system group follows each one and has the cluster take over what it
// learns. It says how the copies stand, and settles for operators what the brake
// holds.
//
// It owns when a directory is followed, by which node, and how what is learnt becomes
// commands. It never answers for an entry: directory/replica does; and it decides
// nothing about a change: storage/system/people does.
package elected

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/replicas"
	"rookery/directory"
	"rookery/storage/command"
	"rookery/storage/system"
)

// Groups are those of this node; replicas.Replicas are.
type Groups interface {
	Leads(rookery.GroupID) bool
	Leader(rookery.GroupID) (rookery.NodeID, error)
	Barrier(ctx context.Context, id rookery.GroupID) error
	ProposeSystem(ctx context.Context, c command.Command) (command.Result, error)
	Follow(ctx context.Context, every time.Duration, step func(), of ...replicas.Topic) error
	System() *system.Machine
}

// Source is a directory of the settings.
type Source struct {
	ID, Name string
	// Follower is nil of a directory that cannot be followed. Another one under the
	// same id is followed in the place of the former.
	Follower directory.Follower
}

// Options are what a Service is made of; all are required.
type Options struct {
	Self   rookery.NodeID
	Groups Groups
	// Sources are the directories in use; ok is false where that is not known yet.
	Sources func() (all []Source, ok bool)
	// Has reports whether the copy here has an entry just so; people.View does.
	Has func(*command.Person) (bool, error)
	// Of is how another node said that it is.
	Of     func(rookery.NodeID) (peers.Report, bool)
	Logger *slog.Logger
	Clock  func() time.Time
}

// Service follows directories while its node is elected. It is safe for concurrent
// use.
type Service struct {
	o     Options
	began time.Time

	mu      sync.Mutex
	follows map[string]*following // by the directory's id
	absent  map[string]time.Time  // since when there is a copy of a directory that is not in use
}

// New makes a Service. It does no I/O.
func New(o Options) *Service {
	return &Service{o: o, began: o.Clock(), follows: map[string]*following{}, absent: map[string]time.Time{}}
}

const (
	// every is how often it is looked at who leads and what is to be followed.
	every = time.Second
	// dropAfter is how long the copy stays of a directory that is in use no more.
	dropAfter = 24 * time.Hour
)

// Run follows directories while this node leads the system group, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	defer func() { s.keep(nil) }()
	return s.o.Groups.Follow(ctx, every, func() {
		sources, ok := s.o.Sources()
		if !ok || !s.o.Groups.Leads(rookery.SystemGroup) {
			s.keep(nil)
			return
		}
		s.keep(sources)
		for _, x := range sources {
			s.start(ctx, x)
		}
		s.look(ctx, sources)
	}, replicas.TopicSettings)
}

// keep ends what is not followed any more, and waits for that.
func (s *Service) keep(sources []Source) {
	s.mu.Lock()
	var ending []*following
	for id, f := range s.follows {
		wanted := false
		for _, x := range sources {
			wanted = wanted || x == f.source
		}
		if !wanted {
			ending = append(ending, f)
			delete(s.follows, id)
		}
	}
	s.mu.Unlock()
	for _, f := range ending {
		f.stop()
		<-f.done
	}
}

// start follows a directory, unless it is followed already.
func (s *Service) start(ctx context.Context, x Source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.Follower == nil || s.follows[x.ID] != nil {
		return
	}
	ctx, stop := context.WithCancel(ctx)
	f := &following{s: s, source: x, stop: stop, done: make(chan struct{})}
	s.follows[x.ID] = f
	go func() {
		defer close(f.done)
		f.run(ctx)
	}()
}

// look goes through the copies: those of directories that are long gone from the
// settings are dropped.
func (s *Service) look(ctx context.Context, sources []Source) {
	used := map[string]bool{}
	for _, x := range sources {
		used[x.ID] = true
	}
	copies, err := s.o.Groups.System().People().Directories()
	if err != nil {
		s.o.Logger.Error("the copies of directories cannot be read; trying again", "error", err)
		return
	}
	for _, d := range copies {
		if f := s.follows[d.ID]; f != nil { // which this goroutine alone changes
			f.compare(d.Batches)
		}
		since, known := s.absent[d.ID]
		switch {
		case used[d.ID]:
			delete(s.absent, d.ID)
		case !known:
			s.absent[d.ID] = s.o.Clock()
		case s.o.Clock().Sub(since) > dropAfter:
			if _, err := s.o.Groups.ProposeSystem(ctx, &command.DropPeople{Directory: d.ID}); err != nil {
				s.o.Logger.Warn("the copy of a directory that is not in the settings could not be dropped; trying again", "id", d.ID, "error", err)
				return
			}
			s.o.Logger.Info("the copy of a directory that is not in the settings was dropped", "id", d.ID, "entries", d.Present)
			delete(s.absent, d.ID)
		}
	}
}

// Report says of each directory that this node follows, by its id, what keeps it from
// that; empty is nothing.
func (s *Service) Report() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]string{}
	for id, f := range s.follows {
		all[id] = f.problem()
	}
	return all
}
