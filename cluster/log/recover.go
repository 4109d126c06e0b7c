package log

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"rookery"
)

// opened is a slot found at start, with the frame header in its first page.
type opened struct {
	*slot
	frame frame
	ok    bool
}

// recover finds the newest segment, takes over its checkpoint, replays the
// frames after it, and makes the last of them durable.
func (l *Log) recover() error {
	found, err := l.openSlots()
	if err != nil {
		return err
	}
	active, cp, doubtful, err := newest(found)
	if err != nil {
		return err
	}
	if err := settle(active, doubtful); err != nil {
		return err
	}
	if active == nil {
		return l.fresh(found)
	}
	l.adopt(found, active, cp)
	if err := l.replay(); err != nil {
		return err
	}
	// Only now is it known which of the checkpoint's segments are still live.
	for _, id := range slices.Sorted(maps.Keys(l.segments)) {
		if s := l.segments[id]; s != l.active {
			if err := l.inspect(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// openSlots opens the files, removes unfinished ones, and notes which groups
// have a term and vote.
func (l *Log) openSlots() ([]*opened, error) {
	fs := l.opts.FS
	if d, err := fs.OpenDir(fs.PathDir(l.opts.Dir)); err == nil {
		_ = d.Sync() // the directory's own entry; not every system can
		_ = d.Close()
	}
	names, err := fs.List(l.opts.Dir)
	if err == nil {
		err = l.syncDir() // names that are seen here are relied on from now on
	}
	if err != nil {
		return nil, rookery.E("list log", rookery.KindUnavailable, err)
	}
	slices.Sort(names)
	var found []*opened
	for _, name := range names {
		path := fs.PathJoin(l.opts.Dir, name)
		if strings.HasSuffix(name, ".new") {
			if err := fs.Remove(path); err != nil {
				return nil, rookery.E("open log", rookery.KindUnavailable, err)
			}
			continue
		}
		if s, ok := strings.CutPrefix(name, "stable-"); ok {
			if n, err := strconv.ParseUint(s, 10, 32); err == nil {
				l.group(rookery.GroupID(n))
				l.stable[rookery.GroupID(n)] = true
			}
			continue
		}
		n, ok := slotNumber(name)
		if !ok {
			continue
		}
		f, err := fs.OpenReadWrite(path, "rookery-log")
		if err != nil {
			return nil, rookery.E("open log", rookery.KindUnavailable, err)
		}
		sl := &slot{number: n, file: f}
		l.free = append(l.free, sl) // so that closeFiles closes it
		l.slots = max(l.slots, n+1)
		info, err := f.Stat()
		if err != nil {
			return nil, rookery.E("open log", rookery.KindUnavailable, err)
		}
		sl.size = info.Size()
		o := &opened{slot: sl}
		head := make([]byte, frameHead)
		if err := readFull(f, head, 0); err == nil {
			o.frame, o.ok = decodeFrame(head)
		} else if sl.size >= frameHead {
			return nil, rookery.E("open log", rookery.KindUnavailable, fmt.Errorf("%s: %w", name, err))
		}
		found = append(found, o)
	}
	return found, nil
}

// newest finds the youngest segment whose checkpoint is whole. doubtful are
// the files that may be a younger one that is damaged.
func newest(found []*opened) (active *opened, cp checkpoint, doubtful []*opened, err error) {
	byAge := slices.Clone(found)
	slices.SortFunc(byAge, func(a, b *opened) int {
		switch {
		case a.frame.segment > b.frame.segment:
			return -1
		case a.frame.segment < b.frame.segment:
			return 1
		}
		return 0
	})
	for _, o := range byAge {
		if !o.ok {
			doubtful = append(doubtful, o)
			continue
		}
		if active != nil || o.frame.segment == 0 {
			continue
		}
		s := &segment{id: o.frame.segment, salt: o.frame.salt, slot: o.slot}
		_, payload, _, sound, err := s.readFrame(0, nil)
		if err != nil {
			return nil, cp, nil, err
		}
		if !sound {
			doubtful = append(doubtful, o)
			continue
		}
		r, _ := decodeRecord(payload)
		if r.kind != kindCheckpoint {
			doubtful = append(doubtful, o)
			continue
		}
		if cp, err = decodeCheckpoint(payload[recordHead:]); err != nil {
			return nil, cp, nil, rookery.E("read checkpoint", rookery.KindDamaged, fmt.Errorf("%v: %w", s, err))
		}
		active = o
	}
	return active, cp, doubtful, nil
}

// settle decides about files with an illegible first frame. Beginning a
// segment writes that frame and waits for it, so a whole frame after it says
// that the disk lost something it had acknowledged.
func settle(active *opened, doubtful []*opened) error {
	var youngest uint64
	if active != nil {
		youngest = active.frame.segment
	}
	for _, o := range doubtful {
		s := &segment{slot: o.slot}
		off, f, err := s.nextFrame(0, func(f frame) bool { return f.segment > youngest })
		if err != nil {
			return err
		}
		if off >= 0 {
			return rookery.E("open log", rookery.KindDamaged,
				fmt.Errorf("%s: the checkpoint of segment %d is illegible although frame %d follows it at %d: replace this node",
					slotName(o.number), f.segment, f.number, off))
		}
	}
	return nil
}

// fresh starts an empty log.
func (l *Log) fresh(found []*opened) error {
	var sl *slot
	for i, o := range found {
		if o.size == l.opts.SegmentSize {
			sl = o.slot
			l.free = slices.Delete(l.free, i, i+1)
			break
		}
	}
	if sl == nil {
		var err error
		if sl, err = l.takeSlot(); err != nil {
			return rookery.E("open log", rookery.KindUnavailable, err)
		}
	}
	return l.begin(sl, 1, 1)
}

// adopt takes over the checkpoint: segments, groups, extents.
func (l *Log) adopt(found []*opened, active *opened, cp checkpoint) {
	slots := map[uint32]*slot{}
	for _, o := range found {
		slots[o.number] = o.slot
	}
	take := func(n uint32) *slot {
		sl := slots[n]
		if sl == nil {
			return &slot{number: n}
		}
		l.free = slices.DeleteFunc(l.free, func(o *slot) bool { return o == sl })
		return sl
	}
	segments := make([]*segment, len(cp.segments))
	for i, ls := range cp.segments {
		segments[i] = &segment{id: ls.id, salt: ls.salt, slot: take(ls.slot), firstFrame: ls.firstFrame, footer: ls.footer}
		l.segments[ls.id] = segments[i]
	}
	s := &segment{id: active.frame.segment, salt: active.frame.salt, slot: take(active.number), firstFrame: active.frame.number,
		live: newIndex()}
	l.segments[s.id], l.active = s, s
	list := func(es []extentState) (out extents) {
		for _, e := range es {
			out = append(out, extent{first: e.first, last: e.last, segment: segments[e.segment], bytes: e.bytes, body: e.body})
		}
		return out
	}
	for _, gs := range cp.groups {
		g := l.group(gs.id)
		g.epoch, g.permit, g.damage = gs.epoch, gs.permit, gs.damage
		g.log, g.old = list(gs.log), list(gs.old)
	}
}

// inspect checks a sealed segment's trailer. Where it fails, the index is made
// from the frames, and groups that miss entries are damaged.
func (l *Log) inspect(s *segment) error {
	b := make([]byte, trailerSize)
	if s.slot.size >= 2*pageSize {
		if err := readFull(s.slot.file, b, s.slot.size-pageSize); err != nil {
			return rookery.E("open log", rookery.KindUnavailable, fmt.Errorf("%v: %w", s, err))
		}
		t, ok := decodeTrailer(b)
		if ok && t.segment == s.id && t.salt == s.salt && t.footer == s.footer {
			return nil
		}
	}
	x, err := s.rebuild()
	if err != nil {
		return err
	}
	s.footer = span{}
	l.indexes.put(s, x)
	l.opts.Logger.Warn("log: a segment's trailer is damaged; its index was made from its frames", "segment", s.id, "file",
		slotName(s.slot.number), "entries", x.entries)
	for _, g := range l.groups {
		if n := g.missing(s, x); n > 0 {
			g.damaged(false, fmt.Sprintf("%d entries are missing from %v", n, s))
		}
	}
	return nil
}

// missing counts the group's entries that should be in the segment and are not.
func (g *Group) missing(s *segment, x *index) (n uint64) {
	for _, e := range g.log {
		for i := e.first; e.segment == s && i <= e.last; i++ {
			if _, ok := x.entry(g.id, g.epoch, i); !ok {
				n++
			}
			if n > 1<<20 { // enough to know; bounds the time a bad extent costs
				return n
			}
		}
	}
	for _, e := range g.old {
		if _, _, ok := x.outside(g.id, e.first, 0); e.segment == s && !ok {
			n++
		}
	}
	return n
}

func (g *Group) damaged(lost bool, why string) {
	if g.damage.why == "" || lost && !g.damage.lost {
		g.damage = damage{lost: lost, why: why}
		g.l.opts.Logger.Error("log: a group is damaged and will not start", "group", g.id, "why", why, "lost", lost)
	}
}

// replay applies the active segment's frames and rewrites the last.
func (l *Log) replay() error {
	s := l.active
	var last, before []byte // the last frame, and the last that is no footer
	var lastOff, beforeOff int64
	footer := false
	v := scanner{
		frame: func(off int64, f frame, b []byte, sound bool) {
			last, lastOff, footer = append(last[:0], b...), off, false
			eachRecord(b[frameHead:frameHead+int64(f.size)], f.records, func(at int64, r record, rb []byte) {
				footer = footer || r.kind == kindFooter
				l.replayRecord(s, r, off+frameHead+at, sound || r.whole(rb))
			})
			if !footer {
				before, beforeOff = append(before[:0], b...), off
			}
		},
		gap: func(off, next int64, f frame) {
			for _, g := range l.groups {
				g.damaged(true, fmt.Sprintf("%v is illegible at %d although frame %d follows it at %d", s, off, f.number, next))
			}
		},
	}
	end, number, err := s.scan(&v)
	if err != nil {
		return err
	}
	if footer {
		// The seal was not followed by a new segment: take it back.
		end, number = lastOff, number-1
		last, lastOff = before, beforeOff
	}
	if end > s.slot.size-2*pageSize {
		end = s.slot.size // full: the next frame starts a segment
	}
	l.off, l.number = end, number
	for _, g := range l.groups {
		g.next = g.log.last()
	}
	return l.put(s.slot, [][]byte{last}, lastOff)
}

// replayRecord applies a record and notes what contradicts the state.
func (l *Log) replayRecord(s *segment, r record, off int64, sound bool) {
	if g := l.groups[r.group]; r.kind == kindEntry && g != nil {
		if last := g.log.last(); last != 0 && r.index != last+1 {
			g.damaged(true, fmt.Sprintf("entry %d follows entry %d in %v", r.index, last, s))
			g.log = g.log.before(r.index - 1)
		}
	}
	l.apply(s, r, off)
	if !sound {
		l.group(r.group).damaged(false, fmt.Sprintf("entry %d in %v at %d fails its checksum", r.index, s, off))
	}
}

// rebuild makes a sealed segment's index from its frames.
func (s *segment) rebuild() (*index, error) {
	x := newIndex()
	if s.slot.file == nil {
		return x, nil
	}
	epochs := map[rookery.GroupID]uint32{}
	v := scanner{frame: func(off int64, f frame, b []byte, _ bool) {
		eachRecord(b[frameHead:frameHead+int64(f.size)], f.records, func(at int64, r record, rb []byte) {
			p := place{off: uint32(off + frameHead + at), size: uint32(r.size()), extensions: r.extensions, term: r.term}
			switch r.kind {
			case kindCheckpoint:
				if cp, err := decodeCheckpoint(rb[recordHead:]); err == nil {
					for _, g := range cp.groups {
						epochs[g.id] = g.epoch
					}
				}
			case kindReset:
				epochs[r.group]++
			case kindEntry, kindCopy:
				x.add(r.group, epochs[r.group], r.index, p)
			case kindBody:
				x.addBody(r.group, r.index, p)
			}
		})
	}}
	_, _, err := s.scan(&v)
	return x, err
}
