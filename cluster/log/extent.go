package log

import "slices"

// extent says that a segment holds a group's entries first to last. A body
// extent only bounds the indexes of bodies outside Raft's range.
type extent struct {
	first, last uint64
	segment     *segment
	bytes       int64
	body        bool
}

// within is the extent's part between first and last, its bytes in proportion.
func (e extent) within(first, last uint64) extent {
	a, z := max(e.first, first), min(e.last, last)
	if a > z {
		return extent{}
	}
	if n := e.last - e.first + 1; a != e.first || z != e.last {
		e.bytes = int64(float64(e.bytes) * float64(z-a+1) / float64(n))
	}
	e.first, e.last = a, z
	return e
}

// extents lists where a range of entries lies, in index order and disjoint.
type extents []extent

func (es extents) first() uint64 {
	if len(es) == 0 {
		return 0
	}
	return es[0].first
}

func (es extents) last() uint64 {
	if len(es) == 0 {
		return 0
	}
	return es[len(es)-1].last
}

func (es extents) find(index uint64) (extent, bool) {
	i, ok := slices.BinarySearchFunc(es, index, func(e extent, index uint64) int {
		if e.last < index {
			return -1
		}
		if e.first > index {
			return 1
		}
		return 0
	})
	if !ok {
		return extent{}, false
	}
	return es[i], true
}

// push adds one entry after the last.
func (es extents) push(s *segment, index uint64, bytes int64) extents {
	if n := len(es); n > 0 && es[n-1].segment == s && es[n-1].last+1 == index {
		es[n-1].last++
		es[n-1].bytes += bytes
		return es
	}
	return append(es, extent{first: index, last: index, segment: s, bytes: bytes})
}

// before drops everything above last.
func (es extents) before(last uint64) extents {
	for len(es) > 0 && es[len(es)-1].first > last {
		es = es[:len(es)-1]
	}
	if n := len(es); n > 0 && es[n-1].last > last {
		es[n-1] = es[n-1].within(0, last)
	}
	return es
}

// from drops everything below first.
func (es extents) from(first uint64) extents {
	for len(es) > 0 && es[0].last < first {
		es = es[1:]
	}
	if len(es) > 0 && es[0].first < first {
		es[0] = es[0].within(first, es[0].last)
	}
	return es
}

// move says that one entry now lies in another segment.
func (es extents) move(s *segment, index uint64, bytes int64) extents {
	i, ok := slices.BinarySearchFunc(es, index, func(e extent, index uint64) int {
		if e.last < index {
			return -1
		}
		if e.first > index {
			return 1
		}
		return 0
	})
	if !ok {
		return slices.Insert(es, i, extent{first: index, last: index, segment: s, bytes: bytes})
	}
	old := es[i]
	if old.segment == s {
		return es
	}
	var parts []extent
	if index > old.first {
		parts = append(parts, old.within(old.first, index-1))
	}
	parts = append(parts, extent{first: index, last: index, segment: s, bytes: bytes})
	if index < old.last {
		parts = append(parts, old.within(index+1, old.last))
	}
	es = slices.Replace(es, i, i+1, parts...)
	// The usual caller moves a stretch in order: join with the left neighbour.
	if index == old.first && i > 0 && es[i-1].segment == s && es[i-1].last+1 == index {
		es[i-1].last++
		es[i-1].bytes += bytes
		es = slices.Delete(es, i, i+1)
	}
	return es
}

// bodyIn widens the body extent of the segment, or adds it.
func (es extents) bodyIn(s *segment, index uint64, bytes int64) extents {
	for i := len(es) - 1; i >= 0; i-- {
		if e := &es[i]; e.body && e.segment == s {
			e.first, e.last = min(e.first, index), max(e.last, index)
			e.bytes += bytes
			return es
		}
	}
	return append(es, extent{first: index, last: index, segment: s, bytes: bytes, body: true})
}

// without drops the extents of a segment.
func (es extents) without(s *segment) extents {
	return slices.DeleteFunc(es, func(e extent) bool { return e.segment == s })
}
