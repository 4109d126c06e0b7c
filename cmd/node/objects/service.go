package objects

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/replicas"
	"rookery/cmd/node/settings"
	"rookery/storage/blob"
	"rookery/storage/command"
	"rookery/storage/holds"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
	"rookery/storage/pack/read"
)

// Options are what the service is made of. All are needed but Around.
type Options struct {
	// Config is the node's file: its data directory and the size of the cache.
	Config settings.Node
	// Store and Garbage are the settings to begin with.
	Store    settings.Store
	Garbage  settings.Garbage
	Replicas *replicas.Replicas
	Peers    *peers.Peers
	Clocks   *peers.Clocks
	Logger   *slog.Logger
	Clock    func() time.Time
	// Go runs a job until the node closes.
	Go func(name string, job func(context.Context) error)
	// Observe hears of every request to the store.
	Observe func(request string, err error, bytes int64, took time.Duration)
	// Archiving says that the groups are archived: bodies that no pack holds yet ride
	// along.
	Archiving func() bool
	// DeadFor is how long a dead pack stays, NameLife how long the name of a
	// pack is good for.
	DeadFor  time.Duration
	NameLife time.Duration
	// Tune changes how packs are made, and Around puts something around the
	// store, for tests; nil puts nothing there.
	Tune   func(pack.Options) pack.Options
	Around func(blob.Store) blob.Store
}

// The usual lives. A dead pack stays so that readers of an older view end; the
// life of a name is also the age at which an object that no group knows is an
// orphan.
const (
	DeadFor  = time.Hour
	NameLife = 24 * time.Hour
)

// Service is the way of message bodies into the object store and back: the
// store in force, the cache in front of it, and the packers of the groups here.
type Service struct {
	// Store is the store in force, Reader reads bodies wherever they are.
	Store  *Store
	Reader *read.Bodies

	o         Options
	tried     *Trial
	cache     *read.Cache
	packers   sync.Map // of *packing by rookery.GroupID
	garbage   atomic.Pointer[settings.Garbage]
	rivals    atomic.Pointer[[]string] // other clusters that claim the store
	budget    *pack.Budget             // of rewriting
	totals    sync.Map                 // of summed by rookery.GroupID
	strangers *replicas.Question[[]command.PackID, []command.PackID]
	holds     *replicas.Question[peers.Nothing, []holds.Hold]
}

// Open opens the store and the cache, and answers other nodes about the groups
// here.
func Open(o Options) (*Service, error) {
	s := &Service{Store: new(Store), o: o, budget: pack.NewBudget(0)}
	s.tried = NewTrial(s.Store, o.Config.DataDir, o.Logger)
	s.UseGarbage(&o.Garbage)
	if err := s.openStore(o.Store); err != nil {
		return nil, err
	}
	var err error
	if s.cache, err = read.OpenCache(filepath.Join(o.Config.DataDir, "cache"), o.Config.Disk.Cache, o.Logger); err != nil {
		return nil, errors.Join(err, s.Store.Close())
	}
	g := o.Replicas
	s.Reader = read.New(read.Options{
		Log: g.ReadLog, Checked: g.ReadChecked, Remote: g.ReadRemote,
		Body: s.body, Pack: s.record, Store: s.Store, Cache: s.cache, Logger: o.Logger,
	})
	s.strangers = replicas.NewQuestion(g, peers.Strangers, replicas.AskBarrierWait, s.strangersHere)
	s.holds = replicas.NewQuestion(g, peers.Holds, replicas.AskBarrierWait, s.holdsHere)
	return s, nil
}

// Run tries the store, releases the log, brings holds to the groups led here,
// and sweeps the store where this node leads the cluster, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, run := range []func(context.Context) error{s.tried.Run, s.releaseLog, s.spreadHolds, s.sweepRegularly} {
		wg.Go(func() { run(ctx) })
	}
	wg.Wait()
	return nil
}

// Close ends reading, and then the store.
func (s *Service) Close() error {
	s.Reader.Close()
	return s.Store.Close()
}

// Tried says what the trial of the store has shown, and as a problem why it
// cannot be used.
func (s *Service) Tried(problem func(string, ...any)) string {
	if others := s.rivals.Load(); others != nil && len(*others) > 0 {
		problem("the object store is also used by cluster %s, and neither can tell which packs are its own: nothing is swept. Give one "+
			"of them another place; where that cluster is gone for good, delete the object c/%s", strings.Join(*others, ", "), (*others)[0])
	}
	return s.tried.Says(problem)
}

// Place is the mark of the store's directory, empty until it was tried.
func (s *Service) Place() string { return s.tried.Place() }

// ReadStats are the numbers of reading.
func (s *Service) ReadStats() read.Stats { return s.Reader.Stats() }

// CacheStats are the numbers of the cache.
func (s *Service) CacheStats() read.CacheStats { return s.cache.Stats() }

func (s *Service) openStore(set settings.Store) error {
	opened, err := OpenStore(&set, s.o.Config.DataDir, s.o.Logger)
	if err != nil {
		return err
	}
	if s.o.Around != nil {
		opened = s.o.Around(opened)
	}
	s.Store.Use(Metered{Inner: opened, Note: s.o.Observe}, set)
	return nil
}

// Reopen follows changed settings: new keys, another endpoint or CA are
// used at once.
func (s *Service) Reopen(set settings.Store) error {
	if !s.Store.Changed(set) {
		return nil
	}
	if !s.Store.Same(set) {
		s.o.Logger.Warn("the settings name another object store: it is used when this node starts again; copy the objects there before")
		return nil
	}
	return s.openStore(set)
}

// body is a body's record as it is now.
func (s *Service) body(group rookery.GroupID, id mailbox.BodyID) (mailbox.Body, error) {
	m := s.o.Replicas.Machine(group)
	if m == nil {
		return mailbox.Body{}, replicas.NotHere(group)
	}
	return m.Body(id)
}

// record is a pack's as it is now.
func (s *Service) record(group rookery.GroupID, id command.PackID) (mailbox.Pack, error) {
	m := s.o.Replicas.Machine(group)
	if m == nil {
		return mailbox.Pack{}, replicas.NotHere(group)
	}
	return m.Pack(id)
}
