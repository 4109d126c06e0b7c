package log

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"rookery"
)

// fits says whether a frame and then the footer fit at off.
func fits(s *segment, off, size int64, records int) bool {
	return off+alignUp(frameHead+size)+alignUp(frameHead+recordHead+s.live.bound(records))+pageSize <= s.slot.size
}

// room makes the active segment one that has space for a frame.
func (l *Log) room(size int64, records int) error {
	if fits(l.active, l.off, size, records) {
		return nil
	}
	if err := l.roll(); err != nil {
		return err
	}
	if !fits(l.active, l.off, size, records) {
		return rookery.E("write log", rookery.KindTooLarge,
			fmt.Errorf("%d bytes in %d records do not fit a segment of %d bytes: raise SegmentSize", size, records, l.active.slot.size))
	}
	return nil
}

// roll seals the active segment and starts the next in a spare file. The next
// segment's checkpoint is on disk before anything else is written to it.
func (l *Log) roll() error {
	next, err := l.takeSlot()
	if err != nil {
		return rookery.E("write log", rookery.KindUnavailable, fmt.Errorf("no spare segment and none can be made: free disk space: %w", err))
	}
	old := l.active
	footer := old.live.encode()
	head, rec := l.single(old, l.number, kindFooter, footer)
	sp := span{l.off, frameHead + recordHead + int64(len(footer))}
	t := trailer{segment: old.id, salt: old.salt, footer: sp}
	if err := l.put(old.slot, [][]byte{head, rec, footer}, sp.off); err != nil {
		return err
	}
	if err := l.put(old.slot, [][]byte{t.encode()}, old.slot.size-pageSize); err != nil {
		return err
	}
	l.mu.Lock()
	old.footer = sp
	l.mu.Unlock()
	return l.begin(next, old.id+1, l.number+1)
}

// begin writes a segment's first frame and makes it the active one.
func (l *Log) begin(sl *slot, id, number uint64) error {
	s := &segment{id: id, salt: newSalt(), slot: sl, firstFrame: number, live: newIndex()}
	l.mu.RLock()
	state := l.checkpoint().encode()
	l.mu.RUnlock()
	head, rec := l.single(s, number, kindCheckpoint, state)
	off := alignUp(frameHead + recordHead + int64(len(state)))
	if off > sl.size/2 {
		return l.fail(rookery.E("write log", rookery.KindTooLarge,
			fmt.Errorf("the state of %d segments takes %d bytes: raise SegmentSize", len(l.segments), off)))
	}
	if err := l.put(sl, [][]byte{head, rec, state, l.zero[:off-frameHead-recordHead-int64(len(state))]}, 0); err != nil {
		return err
	}
	l.mu.Lock()
	if old := l.active; old != nil {
		l.indexes.put(old, old.live)
		old.live = nil
	}
	l.segments[id] = s
	l.active = s
	l.mu.Unlock()
	l.off, l.number = off, number+1
	l.kickKeeper()
	return nil
}

// single makes the headers of a frame that holds one record of the log's own.
func (l *Log) single(s *segment, number uint64, k kind, data []byte) (head, rec []byte) {
	head, rec = make([]byte, frameHead), make([]byte, recordHead)
	record{kind: k}.encode(rec, nil, data)
	frame{segment: s.id, salt: s.salt, number: number, size: uint32(recordHead + len(data)), records: 1,
		heads: crc32.Checksum(rec, castagnoli)}.encode(head)
	return head, rec
}

func newSalt() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// apply is what a record does to the published state, when it is written and
// when it is replayed. The caller holds the lock.
func (l *Log) apply(s *segment, r record, off int64) {
	if r.kind == kindFree {
		l.remove(l.segments[r.index])
		return
	}
	if r.kind == kindCheckpoint || r.kind == kindFooter || r.kind == kindBlank {
		return
	}
	g := l.group(r.group)
	p := place{off: uint32(off), size: uint32(r.size()), extensions: r.extensions, term: r.term}
	switch r.kind {
	case kindEntry:
		s.live.add(g.id, g.epoch, r.index, p)
		g.log = g.log.push(s, r.index, r.size())
	case kindCopy:
		s.live.add(g.id, g.epoch, r.index, p)
		g.log = g.log.move(s, r.index, r.size())
	case kindBody:
		s.live.addBody(g.id, r.index, p)
		g.old = g.old.bodyIn(s, r.index, r.size())
	case kindTruncate:
		g.log = g.log.before(r.index)
		g.cache.before(r.index)
	case kindReset:
		g.old = append(g.old, g.log...)
		g.log, g.permit = nil, 0
		g.epoch++
		g.cache.clear()
	case kindFirst:
		g.log = g.log.from(r.index)
	case kindPermit:
		g.permit = max(g.permit, r.index)
	case kindWhole:
		g.damage = damage{}
	}
}

// remove forgets a freed segment; its file is reused once nobody reads it.
func (l *Log) remove(s *segment) {
	if s == nil || s == l.active {
		return
	}
	delete(l.segments, s.id)
	for _, g := range l.groups {
		g.log, g.old = g.log.without(s), g.old.without(s)
	}
	l.leaving = append(l.leaving, s)
	l.stats.Freed++
}
