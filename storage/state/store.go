package state

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
)

// Options tune a Store. The zero value is ready for use.
type Options struct {
	Logger *slog.Logger // default slog.Default()
	// CacheBytes bounds the block cache, shared by all groups. Default 64 MiB.
	CacheBytes int64
	// MemTableBytes bounds one memtable; up to four exist. Default 32 MiB.
	MemTableBytes uint64
	// OnFailure is called when the database cannot be written any more, also
	// during Open; the error's chain has what the disk said. It must not
	// return; the default panics, which ends the process: a state that stopped
	// half way must not go on answering.
	OnFailure func(error)

	tableAgain time.Duration // pause before a table that met a full disk; default tryTable
}

// Store is the state of all groups on one node.
type Store struct {
	db       *pebble.DB
	fs       vfs.FS
	patient  *patient
	views    sync.WaitGroup // snapshots that are closed while the disk is full
	dir      string
	incoming string
	logger   *slog.Logger
	fail     func(error)
	readOnly bool

	changed chan struct{} // something was applied; holds one
	stop    func()        // ends syncing and waits for it

	mu     sync.Mutex
	groups map[rookery.GroupID]*Group
}

// Open opens or creates the store in dir. It reads no rows but the
// bookkeeping of groups asked for later.
func Open(dir string, fs vfs.FS, opts Options) (*Store, error) {
	s := newStore(dir, fs, &opts)
	// Half-written images of a crashed restore are of no use.
	if err := fs.RemoveAll(s.incoming); err != nil {
		return nil, rookery.E(opOpen, rookery.KindUnavailable, fmt.Errorf("clear %s: %w", s.incoming, err))
	}
	if err := fs.MkdirAll(s.incoming, 0o700); err != nil {
		return nil, rookery.E(opOpen, rookery.KindUnavailable, fmt.Errorf("create %s: %w", s.incoming, err))
	}
	if err := s.syncDirs(); err != nil {
		return nil, rookery.E(opOpen, rookery.KindUnavailable, fmt.Errorf("create %s: %w", dir, err))
	}
	if err := s.openDB(s.pebbleOptions(opts)); err != nil {
		return nil, err
	}
	s.startSyncing()
	return s, nil
}

const opOpen = "open state"

// newStore fills in what the options leave out.
func newStore(dir string, fs vfs.FS, opts *Options) *Store {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.CacheBytes <= 0 {
		opts.CacheBytes = 64 << 20
	}
	if opts.MemTableBytes == 0 {
		opts.MemTableBytes = 32 << 20
	}
	if opts.tableAgain == 0 {
		opts.tableAgain = tryTable
	}
	if opts.OnFailure == nil {
		opts.OnFailure = func(err error) { panic(err) }
	}
	return &Store{fs: fs, patient: &patient{FS: fs, logger: opts.Logger, fail: opts.OnFailure, again: opts.tableAgain}, dir: dir,
		incoming: fs.PathJoin(dir, "incoming"), logger: opts.Logger,
		fail: opts.OnFailure, changed: make(chan struct{}, 1), stop: func() {}, groups: map[rookery.GroupID]*Group{}}
}

func (s *Store) openDB(opts *pebble.Options) error {
	db, err := pebble.Open(s.fs.PathJoin(s.dir, "db"), opts)
	if err != nil {
		kind := rookery.KindUnavailable
		if pebble.IsCorruptionError(err) {
			kind = rookery.KindDamaged
		}
		return rookery.E(opOpen, kind, fmt.Errorf("%s: %w", s.dir, err))
	}
	s.db, s.readOnly = db, opts.ReadOnly
	s.patient.waits.Store(true)
	return nil
}

// syncDirs makes the directories themselves survive a power cut: the
// database syncs what is in them, not their own names.
func (s *Store) syncDirs() error {
	if err := s.fs.MkdirAll(s.fs.PathJoin(s.dir, "db"), 0o700); err != nil {
		return err
	}
	for _, dir := range []string{s.dir, s.fs.PathDir(s.dir)} {
		d, err := s.fs.OpenDir(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) pebbleOptions(opts Options) *pebble.Options {
	o := &pebble.Options{
		FS: s.patient,
		// Pebble takes what memtables use out of the cache's budget: the one
		// being written, and one being flushed or kept for the next.
		CacheSize: opts.CacheBytes + 2*int64(opts.MemTableBytes),
		// Pinned, so that a new library version does not rewrite the store
		// in a format the previous version cannot open.
		FormatMajorVersion:          pebble.FormatTableFormatV6,
		MemTableSize:                opts.MemTableBytes,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       32,
		LBaseMaxBytes:               64 << 20,
		WALBytesPerSync:             1 << 20,
		BytesPerSync:                1 << 20,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		Logger:                      pebbleLogger{s},
		LoggerAndTracer:             pebbleLogger{s},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		// A second level of index costs every look-up a block more.
		o.Levels[i].IndexBlockSize = 256 << 10
	}
	return o
}

// Group gives the group's state, with the machine that make builds for it.
// A group opened before is returned as it is; its make is not called again.
func (s *Store) Group(id rookery.GroupID, make func(*Group) Machine) (*Group, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.groups == nil {
		return nil, rookery.E("open group state", rookery.KindUnavailable, errors.New("the store is closed"))
	}
	if g := s.groups[id]; g != nil {
		return g, nil
	}
	g := newGroup(s, id)
	if err := g.load(); err != nil {
		return nil, rookery.E("open group state", 0, err)
	}
	g.machine = make(g)
	s.groups[id] = g
	return g, nil
}

// Holds reports whether there is anything of a group. It opens nothing.
func (s *Store) Holds(id rookery.GroupID) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.groups == nil {
		return false, rookery.E("look for group state", rookery.KindUnavailable, errors.New("the store is closed"))
	}
	snap := newGroup(s, id).Read()
	defer snap.Close()
	at, _, err := snap.Applied()
	return at > 0, err
}

// Sync returns when everything applied before the call is on disk, in all
// groups.
func (s *Store) Sync() error {
	if err := s.db.LogData(nil, pebble.Sync); err != nil {
		return rookery.E("sync state", rookery.KindUnavailable, err)
	}
	return nil
}

// Close makes everything durable and closes the database. No group may be
// in use any more; a Snap still open is an error.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.groups == nil {
		return nil
	}
	s.groups = nil
	s.stop()
	s.views.Wait()
	var err error
	if !s.readOnly {
		err = s.Sync()
	}
	if err = errors.Join(err, s.db.Close()); err != nil {
		return rookery.E("close state", rookery.KindUnavailable, err)
	}
	return nil
}

// pebbleLogger passes the database's own messages on.
type pebbleLogger struct{ s *Store }

func (l pebbleLogger) Infof(format string, args ...any) {
	if l.s.logger.Enabled(context.Background(), slog.LevelDebug) {
		l.s.logger.Debug("state database: " + fmt.Sprintf(format, args...))
	}
}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.s.logger.Error("state database: " + fmt.Sprintf(format, args...))
}

func (l pebbleLogger) Fatalf(format string, args ...any) {
	kind := rookery.KindDamaged
	cause := &failure{text: fmt.Sprintf(format, args...)}
	for _, a := range args {
		if err, ok := a.(error); ok {
			cause.err = err
		}
	}
	if isFull(cause.err) {
		kind = rookery.KindUnavailable
	}
	l.s.fail(rookery.E("write state", kind, cause))
}

// failure is why the database cannot go on, in its words.
type failure struct {
	text string
	err  error
}

func (f *failure) Error() string { return f.text }

func (f *failure) Unwrap() error { return f.err }

func (l pebbleLogger) Eventf(context.Context, string, ...any) {}

func (l pebbleLogger) IsTracingEnabled(context.Context) bool { return false }
