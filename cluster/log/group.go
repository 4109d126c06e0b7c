package log

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"rookery"
)

// Group is one Raft group's log and its term and vote. It implements
// raft.LogStore, raft.MonotonicLogStore and raft.StableStore. Its methods may
// be called from several goroutines; entries of one group are stored in the
// order of their indexes by one caller at a time, as Raft does.
type Group struct {
	id     rookery.GroupID
	l      *Log
	stable *stable

	released atomic.Bool // Erase has let go of all floors

	// Guarded by Log.mu; only the writer changes them, save floors.
	log    extents // Raft's range
	old    extents // what reset left behind, and bodies put outside the range
	epoch  uint32  // counts resets
	permit uint64  // Raft has no need of entries below
	floors floors  // in the order of Log.floors
	cache  cache
	damage damage

	next uint64 // the writer's own: the last index including the frame in the making
}

// damage says why a group does not start. If entries may be lost whose number
// nobody knows, the node must leave the group and be added anew.
type damage struct {
	lost bool
	why  string
}

var (
	_ raft.LogStore          = (*Group)(nil)
	_ raft.MonotonicLogStore = (*Group)(nil)
	_ raft.StableStore       = (*Group)(nil)
)

// ID is the group's.
func (g *Group) ID() rookery.GroupID { return g.id }

// IsMonotonic tells Raft that entries follow each other without gaps, so that
// it deletes the whole range after a snapshot was installed.
func (g *Group) IsMonotonic() bool { return true }

// FirstIndex is the oldest entry of Raft's range still in the files, 0 if the
// range is empty. It moves when files go, not when Raft permits it.
func (g *Group) FirstIndex() (uint64, error) {
	g.l.mu.RLock()
	defer g.l.mu.RUnlock()
	return g.log.first(), nil
}

// LastIndex is the newest entry, 0 if the range is empty.
func (g *Group) LastIndex() (uint64, error) {
	g.l.mu.RLock()
	defer g.l.mu.RUnlock()
	return g.log.last(), nil
}

// StoreLog stores one entry; see StoreLogs.
func (g *Group) StoreLog(e *raft.Log) error { return g.StoreLogs([]*raft.Log{e}) }

// StoreLogs returns when the entries are on disk. They must follow each other
// and the last entry stored; an empty log starts anywhere. The entries' Data
// is kept by the cache alone and must not be changed afterwards. After an
// error none, some or all of them may be found after a restart.
func (g *Group) StoreLogs(entries []*raft.Log) error {
	for len(entries) > 0 {
		n, size := 0, 0
		for n < len(entries) {
			e := entries[n]
			if n > 0 && e.Index != entries[n-1].Index+1 {
				return rookery.E("store log", rookery.KindInvalid,
					fmt.Errorf("group %d: entry %d does not follow %d", g.id, e.Index, entries[n-1].Index))
			}
			add := recordHead + len(e.Data) + len(e.Extensions)
			if n > 0 && size+add > g.l.opts.MaxFlush {
				break
			}
			size += add
			n++
		}
		if int64(size) > g.l.maxRecord {
			return rookery.E("store log", rookery.KindTooLarge,
				fmt.Errorf("group %d: entry %d has %d bytes, the limit is %d: raise SegmentSize", g.id, entries[0].Index, size, g.l.maxRecord))
		}
		if err := g.store(entries[:n]); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

func (g *Group) store(entries []*raft.Log) error {
	g.begin()
	r := g.l.newRequest(g)
	r.entries = entries
	r.grow(len(entries))
	for _, e := range entries {
		r.add(record{kind: kindEntry, logType: uint8(e.Type), group: g.id, index: e.Index, term: e.Term,
			appended: nanosOf(e.AppendedAt)}, e.Extensions, e.Data)
	}
	return g.l.submit(r)
}

// DeleteRange is three things. Up to the last entry it cuts the tail off,
// durably, before it returns. From the first it only permits that files go,
// by disk budget and not above a floor. What it permitted once counts as deleted
// by later calls. Over both ends it empties the range; the
// entries that a floor holds stay readable by ReadAt.
func (g *Group) DeleteRange(lo, hi uint64) error {
	g.l.mu.RLock()
	first, last := max(g.log.first(), g.permit), g.log.last()
	g.l.mu.RUnlock()
	if last == 0 || hi < first || lo > last || lo > hi {
		return nil
	}
	if lo > first && hi < last {
		return rookery.E("delete log range", rookery.KindInvalid,
			fmt.Errorf("group %d: %d to %d lies inside %d to %d: a log has no holes", g.id, lo, hi, first, last))
	}
	r := g.l.newRequest(g)
	r.plan = func() error {
		first, last := max(g.log.first(), g.permit), g.log.last()
		switch {
		case last == 0 || lo > last:
		case hi < last && lo > first:
			return rookery.E("delete log range", rookery.KindConflict, fmt.Errorf("group %d: the log grew to %d meanwhile", g.id, last))
		case hi < last:
			r.control(record{kind: kindPermit, group: g.id, index: hi + 1}, nil)
		case lo <= g.log.first():
			r.control(record{kind: kindReset, group: g.id}, nil)
		default:
			r.control(record{kind: kindTruncate, group: g.id, index: lo - 1}, nil)
		}
		return nil
	}
	err := g.l.submit(r)
	g.l.kickKeeper()
	return err
}

// PutBody stores an entry's data outside Raft's range: a body that a snapshot
// refers to and this node has no entry of. ReadAt finds it until all floors
// have passed it and its file goes. It returns when the body is on disk.
func (g *Group) PutBody(index rookery.LogIndex, term uint64, data []byte) error {
	if size := int64(recordHead + len(data)); size > g.l.maxRecord {
		return rookery.E("put body", rookery.KindTooLarge,
			fmt.Errorf("group %d: body %d has %d bytes, the limit is %d: raise SegmentSize", g.id, index, size, g.l.maxRecord))
	}
	g.begin()
	r := g.l.newRequest(g)
	r.grow(1)
	r.add(record{kind: kindBody, group: g.id, index: uint64(index), term: term, appended: nanosOf(timeOf(0))}, nil, data)
	return g.l.submit(r)
}

// GetLog reads an entry of Raft's range. A damaged one is fetched through
// Options.Repair; without it the error is of KindDamaged. The entry's slices
// may be shared with other readers: they are not to be changed.
func (g *Group) GetLog(index uint64, out *raft.Log) error {
	g.l.mu.RLock()
	if e := g.cache.get(index); e != nil {
		*out = *e
		g.l.mu.RUnlock()
		return nil
	}
	g.l.mu.RUnlock()
	b, r, err := g.read(index, 0, true)
	if err != nil {
		if rookery.Is(err, rookery.KindNotFound) {
			return raft.ErrLogNotFound
		}
		return err
	}
	r.log(b, out)
	return nil
}

// ReadAt reads bytes inside the Data of an entry, or of a body put outside
// the range, where it lies, from off on. Term 0 is any term. Like
// io.ReaderAt it returns io.EOF with fewer bytes than len(p). KindNotFound
// means the entry is gone (or of another term). It does not check the
// entry's sum, for it reads only a part: bodies are sealed with their own.
// Data and Verify check and repair one.
func (g *Group) ReadAt(index rookery.LogIndex, term uint64, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, rookery.E("read body", rookery.KindInvalid, fmt.Errorf("offset %d is negative", off))
	}
	g.l.mu.RLock()
	if e := g.cache.get(uint64(index)); e != nil && (term == 0 || e.Term == term) {
		data := e.Data
		g.l.mu.RUnlock()
		if off >= int64(len(data)) {
			return 0, io.EOF
		}
		return short(copy(p, data[off:]), len(p))
	}
	g.l.mu.RUnlock()
	s, pl, err := g.locate(uint64(index), term, false)
	if err != nil {
		return 0, err
	}
	defer g.l.letGo(s)
	head := int64(recordHead) + int64(pl.extensions)
	n := int64(pl.size) - head
	if off >= n {
		return 0, io.EOF
	}
	want := min(n-off, int64(len(p)))
	if err := readFull(s.slot.file, p[:want], int64(pl.off)+head+off); err != nil {
		return 0, rookery.E("read body", rookery.KindUnavailable, fmt.Errorf("group %d entry %d in %v: %w", g.id, index, s, err))
	}
	return short(int(want), len(p))
}

func short(n, want int) (int, error) {
	if n < want {
		return n, io.EOF
	}
	return n, nil
}

// Has reports whether ReadAt finds the entry.
func (g *Group) Has(index rookery.LogIndex, term uint64) bool {
	s, _, err := g.locate(uint64(index), term, false)
	if err != nil {
		return false
	}
	g.l.letGo(s)
	return true
}

// Record is an entry with its header and checksum, for a peer that asks with
// Options.Repair or lacks a body. Term 0 is the entry in Raft's range, whatever
// its term: who serves a peer's question with it must know that the entry is
// committed. What is damaged
// here is not repaired for it: two that ask each other would never end.
func (g *Group) Record(index rookery.LogIndex, term uint64) ([]byte, error) {
	b, _, _, err := g.readHere(uint64(index), term, term == 0)
	return b, err
}

// Data is the data of an entry or body, read whole, checked, and repaired if
// need be: for what is to be copied for good.
func (g *Group) Data(index rookery.LogIndex, term uint64) ([]byte, error) {
	b, r, err := g.read(uint64(index), term, false)
	if err != nil {
		return nil, err
	}
	return b[recordHead+int64(r.extensions):], nil
}

// DataOf is the data inside what Record returned, checked: group and index
// must be the ones asked for, and the term unless it is 0.
func DataOf(b []byte, group rookery.GroupID, index rookery.LogIndex, term uint64) ([]byte, error) {
	r, ok := decodeRecord(b)
	if !ok || !r.whole(b) || r.group != group || r.index != uint64(index) || term != 0 && r.term != term {
		return nil, rookery.E("read record", rookery.KindDamaged, fmt.Errorf("the bytes are not entry %d of group %d", index, group))
	}
	return b[recordHead+int64(r.extensions):], nil
}

// candidate is a segment that may hold the wanted record.
type candidate struct {
	segment *segment
	ranged  bool // as part of Raft's range, else outside it
	live    bool // searched already, under the lock
	found   bool
	place   place
}

// locate finds a record and takes a reference on its segment. Term 0 is any.
func (g *Group) locate(index, term uint64, inRange bool) (*segment, place, error) {
	l := g.l
	var buf [4]candidate
	cs := buf[:0]
	l.mu.RLock()
	if l.closed {
		l.mu.RUnlock()
		return nil, place{}, errClosed("read log")
	}
	epoch := g.epoch
	if e, ok := g.log.find(index); ok {
		cs = append(cs, candidate{segment: e.segment, ranged: true})
	}
	for i := len(g.old) - 1; i >= 0 && !inRange; i-- {
		if e := g.old[i]; e.first <= index && index <= e.last {
			cs = append(cs, candidate{segment: e.segment})
		}
	}
	for i := range cs {
		c := &cs[i]
		l.hold(c.segment)
		if x := c.segment.live; x != nil {
			c.live = true
			c.place, c.found = search(x, g.id, epoch, index, term, c.ranged)
		}
	}
	l.mu.RUnlock()
	return g.choose(cs, epoch, index, term)
}

// choose takes the first candidate that has the record, reading footers where
// it must, and keeps the reference on that one alone.
func (g *Group) choose(cs []candidate, epoch uint32, index, term uint64) (s *segment, p place, err error) {
	for _, c := range cs {
		if s == nil && !c.live {
			x, rerr := g.l.indexes.get(c.segment)
			if rerr == nil {
				c.place, c.found = search(x, g.id, epoch, index, term, c.ranged)
				if _, any := search(x, g.id, epoch, index, 0, c.ranged); c.ranged && !any {
					rerr = fmt.Errorf("group %d: entry %d is missing from %v", g.id, index, c.segment)
				}
			}
			err = errors.Join(err, rerr)
		}
		if s == nil && c.found {
			s, p = c.segment, c.place
			continue
		}
		g.l.letGo(c.segment)
	}
	switch {
	case s != nil:
		return s, p, nil
	case err != nil:
		return nil, p, rookery.E("read log", rookery.KindDamaged, err)
	}
	return nil, p, rookery.E("read log", rookery.KindNotFound, fmt.Errorf("group %d has no entry %d of term %d (0 = any)", g.id, index, term))
}

func search(x *index, g rookery.GroupID, epoch uint32, index, term uint64, ranged bool) (place, bool) {
	if ranged {
		p, ok := x.entry(g, epoch, index)
		return p, ok && (term == 0 || p.term == term)
	}
	p, _, ok := x.outside(g, index, term)
	return p, ok
}

// read gives a record's bytes, checked, repaired if need be.
func (g *Group) read(index, term uint64, inRange bool) ([]byte, record, error) {
	b, r, found, err := g.readHere(index, term, inRange)
	if !rookery.Is(err, rookery.KindDamaged) {
		return b, r, err
	}
	return g.repair(index, found, err)
}

// readHere gives a record's bytes, checked, and the term of what was found.
func (g *Group) readHere(index, term uint64, inRange bool) ([]byte, record, uint64, error) {
	s, p, err := g.locate(index, term, inRange)
	if err != nil {
		return nil, record{}, term, err
	}
	b := make([]byte, p.size)
	err = readFull(s.slot.file, b, int64(p.off))
	g.l.letGo(s)
	if err != nil {
		return nil, record{}, p.term, rookery.E("read log", rookery.KindUnavailable,
			fmt.Errorf("group %d entry %d in %v: %w", g.id, index, s, err))
	}
	r, ok := decodeRecord(b)
	if ok && r.whole(b) && r.group == g.id && r.index == index && r.term == p.term {
		return b, r, p.term, nil
	}
	return nil, record{}, p.term, rookery.E("read log", rookery.KindDamaged,
		fmt.Errorf("group %d: entry %d in %v at %d fails its checksum", g.id, index, s, p.off))
}
