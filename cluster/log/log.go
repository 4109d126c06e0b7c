// Package log is the node's one append-only log: the entries of all Raft
// groups in shared, checksummed segment files with one group commit. A
// message's body lies in its entry and is read there, in place, by (group,
// index, term) until it has been packed.
//
// It owns the segment files, their recovery, their retention, and the small
// files that hold each group's term and vote. It never interprets an entry,
// never decides what may be deleted (Raft permits, floors forbid), never talks
// to another node (Options.Repair does) and never retries a failed fsync.
//
// DESIGN.md beside this file has the format and what each rule protects.
package log

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"rookery"
)

// Log is one node's log. Make it with Open, end it with Close.
type Log struct {
	opts      Options
	maxRecord int64
	floors    []namedClass // Options.Floors
	lock      io.Closer
	indexes   *indexCache
	stable    map[rookery.GroupID]bool // groups that had a file of term and vote at Open

	pool     sync.Pool // of requests; the log's own, for their channels belong to it
	requests chan *request
	kick     chan struct{}
	closing  chan struct{}  // closed by Close: no more requests
	stopped  chan struct{}  // closed when the writer has returned
	idle     chan struct{}  // closed when the keeper has returned
	readers  sync.WaitGroup // of segments: begun before closed was set
	ctx      context.Context
	cancel   context.CancelFunc
	failed   atomic.Pointer[error]

	// The writer's own.
	off    int64  // where the next frame goes
	number uint64 // the next frame's
	timer  *time.Timer
	iov    [][]byte
	head   [frameHead]byte
	zero   []byte

	mu       sync.RWMutex
	closed   bool
	segments map[uint64]*segment
	active   *segment // changed by the writer alone
	groups   map[rookery.GroupID]*Group
	free     []*slot         // spare files
	leaving  []*segment      // freed, perhaps still being read
	thinned  map[uint64]bool // segments in which something was erased, by id
	slots    uint32          // the next slot's number
	budget   int64           // in force: Options.DiskBudget, less on a disk that is short
	stats    Stats
}

// Open recovers the log in the directory, or makes one. It fails with
// KindDamaged when what happened after the newest segment began cannot be
// told, and with KindUnavailable when another process has the directory open.
// Damage that concerns single groups is reported by Group.
func Open(opts Options) (*Log, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &Log{
		opts:      opts,
		maxRecord: opts.SegmentSize / 2,
		indexes:   &indexCache{limit: 32 << 20},
		requests:  make(chan *request, 1024),
		kick:      make(chan struct{}, 1),
		closing:   make(chan struct{}),
		stopped:   make(chan struct{}),
		idle:      make(chan struct{}),
		zero:      make([]byte, pageSize),
		segments:  map[uint64]*segment{},
		groups:    map[rookery.GroupID]*Group{},
		stable:    map[rookery.GroupID]bool{},
		budget:    opts.DiskBudget,
		thinned:   map[uint64]bool{},
	}
	if l.floors, err = sortFloors(opts.Floors); err != nil {
		return nil, err
	}
	if err := opts.FS.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, rookery.E("open log", rookery.KindUnavailable, err)
	}
	if l.lock, err = opts.FS.Lock(opts.FS.PathJoin(opts.Dir, "LOCK")); err != nil {
		return nil, rookery.E("open log", rookery.KindUnavailable, fmt.Errorf("%s is in use by another process: %w", opts.Dir, err))
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.timer = newStopped(l.stalled)
	if err := l.recover(); err != nil {
		l.cancel()
		return nil, errors.Join(rookery.E("open log", rookery.KindUnknown, err), l.closeFiles())
	}
	l.measure()
	go l.write()
	go l.keepHouse()
	return l, nil
}

// Close waits for what is being written and read and closes the files. Requests that
// did not reach the writer fail with KindUnavailable.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.mu.Unlock()
	close(l.closing)
	l.cancel()
	<-l.stopped
	<-l.idle
	l.timer.Stop()
	l.readers.Wait()
	return l.closeFiles()
}

func (l *Log) closeFiles() error {
	var errs []error
	l.mu.Lock()
	slots := l.free
	for _, s := range l.segments {
		slots = append(slots, s.slot)
	}
	for _, s := range l.leaving {
		slots = append(slots, s.slot)
	}
	groups := make([]*Group, 0, len(l.groups))
	for _, g := range l.groups {
		groups = append(groups, g)
	}
	l.free, l.leaving = nil, nil
	l.mu.Unlock()
	for _, s := range slots {
		if s.file != nil {
			errs = append(errs, s.file.Close())
		}
	}
	for _, g := range groups {
		errs = append(errs, g.stable.close())
	}
	return errors.Join(append(errs, l.lock.Close())...)
}

// Group gives a group's log. A damaged group is refused with KindDamaged: see
// Mend.
func (l *Log) Group(id rookery.GroupID) (*Group, error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, errClosed("open group log")
	}
	_, known := l.groups[id]
	g := l.group(id)
	why := g.damage.why
	l.mu.Unlock()
	if why != "" {
		return nil, rookery.E("open group log", rookery.KindDamaged, fmt.Errorf("group %d: %s", id, why))
	}
	if err := g.stable.open(known && !l.stable[id]); err != nil {
		return nil, err
	}
	return g, nil
}

// group finds or makes a group. The caller holds the lock.
func (l *Log) group(id rookery.GroupID) *Group {
	g := l.groups[id]
	if g == nil {
		g = &Group{id: id, l: l, cache: cache{limit: l.opts.CacheBytes}, floors: make(floors, len(l.floors))}
		g.stable = &stable{l: l, group: id}
		l.groups[id] = g
	}
	return g
}

// Disk is Stats().Disk, at no cost.
func (l *Log) Disk() DiskState {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.stats.Disk
}

// Stats is the state at this moment.
func (l *Log) Stats() Stats {
	l.mu.RLock()
	defer l.mu.RUnlock()
	s := l.stats
	s.Segments, s.SpareFiles = len(l.segments), len(l.free)
	s.Bytes = l.bytes()
	s.Groups = make(map[rookery.GroupID]GroupStats, len(l.groups))
	for id, g := range l.groups {
		gs := GroupStats{First: rookery.LogIndex(g.log.first()), Last: rookery.LogIndex(g.log.last()),
			Floor: rookery.LogIndex(g.lowest(false)), Floors: g.floorStats(), CacheBytes: g.cache.bytes, Damaged: g.damage.why}
		for _, e := range g.log {
			gs.LiveBytes += e.within(g.lowest(false), e.last).bytes
		}
		for _, e := range g.old {
			gs.LiveBytes += e.within(g.keep(false), e.last).bytes
		}
		s.Groups[id] = gs
	}
	return s
}

// bytes is the size of all segment files. The caller holds the lock.
func (l *Log) bytes() (n int64) {
	for _, s := range l.segments {
		n += s.slot.size
	}
	for _, s := range l.leaving {
		n += s.slot.size
	}
	for _, s := range l.free {
		n += s.size
	}
	return n
}
