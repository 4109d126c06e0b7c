// Package backups is a node's part in the backup: it archives the groups that the node
// leads, keeps the log until that is done, and carries out restores into accounts of
// groups that it leads.
//
// It owns which store is in use, when images are made, and the jobs; package backup
// and those below it own what an archive is and how an account comes back.
package backups

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"rookery"
	"rookery/backup/archive"
	"rookery/backup/sealed"
	"rookery/cmd/node/backups/figures"
	"rookery/cmd/node/objects"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/replicas"
	"rookery/cmd/node/settings"
	"rookery/storage/account"
	"rookery/storage/archivekey"
	"rookery/storage/blob"
	"rookery/storage/command"
)

// Options are what a Service is made of. All are required but Around.
type Options struct {
	// Cluster is its id, DataDir the node's data directory.
	Cluster string
	Node    rookery.NodeID
	Epoch   uint64
	DataDir string
	// Settings are those in force, LiveSettings those of the store of packs.
	Settings     func() settings.Backup
	LiveSettings func() settings.Store
	Replicas     *replicas.Replicas
	Peers        *peers.Peers
	Keys         sealed.Keys
	// SealedKeys are the archive's keys as the cluster keeps them, under the settings
	// key.
	SealedKeys func() (archivekey.Keys, error)
	// ForKit tells which key files of the cluster the newest recovery kit is to open:
	// a digest of them with the kit, and what seals them; nil where no kit is known.
	ForKit func() (digest []byte, seal func() ([]byte, error), err error)
	// Generation is the cluster's: 0 until a majority was lost or it was restored.
	Generation uint64
	Accounts   *account.Store
	// Live is the store of packs.
	Live blob.Store
	// Now is the time by which the archive is old; an error where nobody knows.
	Now func() (time.Time, error)
	// Room refuses where the disk is nearly full.
	Room   func() error
	Logger *slog.Logger
	Clock  func() time.Time
	// Around puts something around the backup store, for tests; nil puts nothing there.
	Around func(blob.Store) blob.Store
}

// Service is this node's part in the backup.
type Service struct {
	o      Options
	store  atomic.Pointer[opened]
	limit  *rate.Limiter
	failed atomic.Pointer[string] // why there is no store although there should be

	mu     sync.Mutex
	groups map[rookery.GroupID]*group
	jobs   map[command.RestoreID]*carried
	stages atomic.Uint64
	begun  func()    // looks for restores to carry out, while the node runs
	pruned time.Time // when this node has pruned last; pruneDaily's
	staged sync.Map  // of command.StageID

	again   keptPast
	kept    keptKeys               // keepKeys's
	keyless atomic.Pointer[string] // why the keys do not lie there as they are; empty where they do
	// What checkpoint has of the last ones.
	chain   *archive.Chain
	pointed time.Time
	warned  bool

	// What Stats counts: requests, and steps of archiving that failed.
	asked figures.Requests
	steps atomic.Int64
}

// New makes a Service, which answers other nodes from now on.
func New(o Options) *Service {
	s := &Service{o: o, limit: newLimit(), groups: map[rookery.GroupID]*group{}, jobs: map[command.RestoreID]*carried{}}
	peers.ArchiveNow.Serve(o.Peers, s.archiveHere)
	return s
}

// Run archives and restores until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	s.mu.Lock()
	s.begun = func() {
		if ctx.Err() == nil {
			s.restores(ctx)
		}
	}
	s.mu.Unlock()
	var wg sync.WaitGroup
	for every, step := range map[time.Duration]func(context.Context){
		time.Second:             s.lead,
		2 * time.Second:         s.restores,
		2500 * time.Millisecond: s.checkpoint,
		3 * time.Second:         s.floors,
		5 * time.Second:         s.open,
		30 * time.Second:        s.rules,
		4 * time.Second:         s.keepKeys,
		time.Minute:             s.pruneDaily,
		15 * time.Second:        s.oldests,
		45 * time.Second:        s.fence,
		10 * time.Minute:        s.HoldPoints,
	} {
		wg.Go(func() { s.each(ctx, every, step) })
	}
	wg.Wait()
	s.stop()
	s.again.close()
	if now := s.store.Swap(nil); now != nil {
		return objects.Close(now.Store)
	}
	return nil
}

// each runs a step now and then again.
func (s *Service) each(ctx context.Context, every time.Duration, step func(context.Context)) {
	t := time.NewTicker(every)
	defer t.Stop()
	for ctx.Err() == nil {
		step(ctx)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
}

// Carries reports whether a stage is still on its way from here.
func (s *Service) Carries(id command.StageID) bool {
	_, is := s.staged.Load(id)
	return is
}
