package log

import (
	"maps"
	"slices"
	"time"

	"rookery"
)

const houseEvery = time.Second

// keepHouse measures the disk, keeps spares, and recycles segments.
func (l *Log) keepHouse() {
	defer close(l.idle)
	t := time.NewTicker(houseEvery)
	defer t.Stop()
	for {
		l.tidy()
		select {
		case <-l.closing:
			return
		case <-t.C:
		case <-l.kick:
		}
	}
}

func (l *Log) kickKeeper() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// tidy is one round of housekeeping. It runs on the keeper alone.
func (l *Log) tidy() {
	l.measure()
	l.reclaim()
	l.retain()
	l.reclaim()
	l.stock()
}

// measure reads the file system's free space.
func (l *Log) measure() {
	u, err := l.opts.FS.GetDiskUsage(l.opts.Dir)
	if err != nil {
		return // the last state stands; in-memory file systems have none
	}
	free, state := int64(min(u.AvailBytes, 1<<62)), DiskOK
	switch {
	case free < l.opts.HardFree:
		state = DiskHard
	case free < l.opts.SoftFree:
		state = DiskSoft
	}
	l.mu.Lock()
	was := l.stats.Disk
	l.stats.Disk, l.stats.DiskFree = state, free
	l.budget = l.opts.DiskBudget
	missing := l.opts.SoftFree + l.opts.SoftFree/8 - free
	if l.stats.Short = l.opts.SoftFree > 0 && missing > 0; l.stats.Short {
		// What is kept as a read cache is worth less than new mail.
		l.budget = min(l.budget, l.size()-missing)
	}
	l.mu.Unlock()
	if was != state {
		l.opts.Logger.Warn("log: the disk's state has changed", "was", was.String(), "is", state.String(), "free", free)
	}
}

// reclaim turns freed segments that nobody reads into spares.
func (l *Log) reclaim() {
	l.mu.Lock()
	var gone []*segment
	l.leaving = slices.DeleteFunc(l.leaving, func(s *segment) bool {
		if s.refs.Load() > 0 {
			return false
		}
		gone = append(gone, s)
		return true
	})
	for _, s := range gone {
		if s.slot.file != nil {
			l.free = append(l.free, s.slot)
		}
	}
	l.mu.Unlock()
	for _, s := range gone {
		l.indexes.drop(s)
	}
}

// stock makes spares up to the wanted number and deletes what is too much.
func (l *Log) stock() {
	for {
		l.mu.Lock()
		n := len(l.free)
		if l.closed || n == l.opts.Spares {
			l.mu.Unlock()
			return
		}
		var drop *slot
		number := l.slots
		if n > l.opts.Spares {
			drop = l.free[0] // the oldest, perhaps of another size
			l.free = slices.Delete(l.free, 0, 1)
		} else {
			l.slots++
		}
		l.mu.Unlock()
		if drop != nil {
			l.dropSlot(drop)
			continue
		}
		sl, err := l.createSlot(number)
		if err != nil {
			l.opts.Logger.Warn("log: cannot prepare a spare segment", "error", err)
			return
		}
		l.mu.Lock()
		l.free = append(l.free, sl)
		l.mu.Unlock()
	}
}

func (l *Log) dropSlot(s *slot) {
	_ = s.file.Close()
	if err := l.opts.FS.Remove(l.opts.FS.PathJoin(l.opts.Dir, slotName(s.number))); err != nil {
		l.opts.Logger.Warn("log: cannot delete a spare segment", "file", slotName(s.number), "error", err)
	}
}

// takeSlot gives a spare, or makes one on the spot.
func (l *Log) takeSlot() (*slot, error) {
	l.mu.Lock()
	if n := len(l.free); n > 0 {
		s := l.free[n-1]
		l.free = l.free[:n-1]
		l.mu.Unlock()
		return s, nil
	}
	number := l.slots
	l.slots++
	l.mu.Unlock()
	return l.createSlot(number)
}

// live sums, per segment, the bytes that must stay. The caller holds the lock.
func (l *Log) live(forced bool) map[*segment]int64 {
	sum := map[*segment]int64{}
	for _, g := range l.groups {
		floor, keep := g.lowest(forced), g.keep(forced)
		for _, e := range g.log {
			if e.last >= floor {
				sum[e.segment] += max(1, e.within(floor, e.last).bytes)
			}
		}
		for _, e := range g.old {
			if e.last >= keep {
				sum[e.segment] += max(1, e.within(keep, e.last).bytes)
			}
		}
	}
	return sum
}

// size is that of the segments and the wanted spares. The caller holds the lock.
func (l *Log) size() int64 {
	n := int64(l.opts.Spares) * l.opts.SegmentSize
	for _, s := range l.segments {
		n += s.slot.size
	}
	return n
}

// over reports whether the log exceeds the budget in force. The caller holds
// the lock.
func (l *Log) over() bool { return l.size() > l.budget }

// retain recycles the oldest segments until the budget holds: those without a
// live entry, and those under a tenth live, whose rest is copied forward. Thin
// ones go whatever the budget.
func (l *Log) retain() {
	over := l.pass(l.thin(), false)
	if over {
		over = l.pass(nil, true)
	}
	l.mu.Lock()
	was, budget := l.stats.OverBudget, l.budget
	l.stats.OverBudget = over
	l.mu.Unlock()
	if over && !was {
		l.opts.Logger.Warn("log: above its disk budget, and everything in it must stay", "budget", max(budget, 0))
	}
}

// pass goes over the sealed segments once; forced, past the floors that the disk
// budget may pass. It reports whether the log still exceeds its budget.
func (l *Log) pass(thin map[*segment]bool, forced bool) (over bool) {
	l.mu.RLock()
	over = l.over()
	var live map[*segment]int64
	var all []*segment
	if over || len(thin) > 0 {
		live = l.live(forced)
		for _, id := range slices.Sorted(maps.Keys(l.segments)) {
			if s := l.segments[id]; s != l.active {
				all = append(all, s)
			}
		}
	}
	l.mu.RUnlock()
	for _, s := range all {
		if !over && !thin[s] {
			continue
		}
		if n := live[s]; n >= s.slot.size/10 && n > 0 {
			continue
		} else if n > 0 && !l.copyForward(s, forced) {
			continue
		} else if n == 0 && l.freeSegment(s, nil, forced) != nil {
			break
		}
		l.mu.RLock()
		over = l.over()
		l.mu.RUnlock()
		select {
		case <-l.closing:
			return over
		default:
		}
	}
	return over
}

// copies says what of a group's entries outside Raft's range was copied out of
// a segment: all from an index on that lay there in an epoch. A reset meanwhile
// put more of them there, which were not.
type copies struct {
	from  uint64
	epoch uint32
}

// freeSegment records that the segment may be reused, unless something in it
// must stay that was not copied. Forced, it reports what had to stay otherwise.
func (l *Log) freeSegment(s *segment, copied map[*Group]copies, forced bool) error {
	var lost []gap
	r := l.newRequest(nil)
	r.plan = func() error {
		if l.segments[s.id] != s || s == l.active {
			return nil
		}
		l.mu.RLock()
		defer l.mu.RUnlock()
		firsts := map[rookery.GroupID]uint64{}
		for id, g := range l.groups {
			floor, keep := g.lowest(forced), g.keep(forced)
			for _, e := range g.log {
				if e.segment != s {
					continue
				}
				if e.last >= floor {
					return nil
				}
				firsts[id] = max(firsts[id], e.last+1)
			}
			c, ok := copied[g]
			ok = ok && c.epoch == g.epoch && c.from <= keep
			for _, e := range g.old {
				if e.segment == s && e.last >= keep && !ok {
					return nil
				}
			}
		}
		for _, id := range slices.Sorted(maps.Keys(firsts)) {
			r.control(record{kind: kindFirst, group: id, index: firsts[id]}, nil)
		}
		r.control(record{kind: kindFree, index: s.id}, nil)
		lost = l.forcedOut(s)
		return nil
	}
	err := l.submit(r)
	if err == nil {
		l.tell(lost)
	}
	return err
}

// copyForward writes what must stay of a segment into the active one and
// frees it. It reports whether the segment is gone.
func (l *Log) copyForward(s *segment, forced bool) bool {
	l.hold(s)
	x, err := l.indexes.get(s)
	l.letGo(s)
	if err != nil {
		return false
	}
	copied := map[*Group]copies{}
	for g, gi := range x.groups {
		if err == nil {
			err = l.copyGroup(s, gi, g, copied, forced)
		}
	}
	if err == nil {
		err = l.freeSegment(s, copied, forced)
	}
	if err != nil {
		l.opts.Logger.Warn("log: cannot copy a segment's last live entries forward", "segment", s.id, "error", err)
		return false
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.segments[s.id] != s
}

// copyGroup copies one group's live entries, in frames of at most MaxFlush.
func (l *Log) copyGroup(s *segment, gi *groupIndex, id rookery.GroupID, copied map[*Group]copies, forced bool) error {
	l.mu.RLock()
	g := l.groups[id]
	if g == nil {
		l.mu.RUnlock()
		return nil
	}
	floor, keep, epoch := g.lowest(forced), g.keep(forced), g.epoch
	var within, outside extents
	for _, e := range g.log {
		if e.segment == s && e.last >= floor {
			within = append(within, e.within(floor, e.last))
		}
	}
	for _, e := range g.old {
		if e.segment == s && e.last >= keep {
			outside = append(outside, e)
		}
	}
	l.mu.RUnlock()
	copied[g] = copies{keep, epoch}
	m := mover{g: g, from: s, epoch: epoch}
	for _, e := range within {
		for i := e.first; i <= e.last; i++ {
			for k := len(gi.runs) - 1; k >= 0; k-- {
				if p, ok := gi.runs[k].at(i); ok && gi.runs[k].epoch == epoch {
					m.add(i, p, kindCopy)
					break
				}
			}
		}
	}
	for _, e := range outside {
		for k := range gi.runs {
			for i := max(e.first, keep); gi.runs[k].epoch != epoch && !e.body && i <= e.last; i++ {
				if p, ok := gi.runs[k].at(i); ok {
					m.add(i, p, kindBody)
				}
			}
		}
		for i, p := range gi.bodies {
			if e.body && i >= keep {
				m.add(i, p, kindBody)
			}
		}
	}
	return m.flush()
}
