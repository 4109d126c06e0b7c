package log

import (
	"encoding/binary"
	"errors"

	"rookery"
)

// place is where a record lies in its segment.
type place struct {
	off        uint32 // of the record's header
	size       uint32 // header, extensions and data
	extensions uint32
	term       uint64
}

// run is a stretch of consecutive entries of one group, epoch and term.
type run struct {
	epoch      uint32
	extensions uint32
	term       uint64
	first      uint64
	offs       []uint32
	sizes      []uint32
}

func (r *run) at(index uint64) (place, bool) {
	if index < r.first || index-r.first >= uint64(len(r.offs)) {
		return place{}, false
	}
	i := index - r.first
	return place{off: r.offs[i], size: r.sizes[i], extensions: r.extensions, term: r.term}, true
}

// groupIndex is one group's part of a segment's index.
type groupIndex struct {
	runs   []run
	bodies map[uint64]place
}

// index finds a segment's records. The active segment's grows under the log's
// lock; a sealed segment's is its footer and never changes.
type index struct {
	groups  map[rookery.GroupID]*groupIndex
	entries int
	runs    int
}

func newIndex() *index { return &index{groups: map[rookery.GroupID]*groupIndex{}} }

func (x *index) group(g rookery.GroupID) *groupIndex {
	gi := x.groups[g]
	if gi == nil {
		gi = &groupIndex{}
		x.groups[g] = gi
	}
	return gi
}

func (x *index) add(g rookery.GroupID, epoch uint32, i uint64, p place) {
	gi := x.group(g)
	x.entries++
	if n := len(gi.runs); n > 0 {
		r := &gi.runs[n-1]
		if r.epoch == epoch && r.term == p.term && r.extensions == p.extensions && r.first+uint64(len(r.offs)) == i {
			r.offs, r.sizes = append(r.offs, p.off), append(r.sizes, p.size)
			return
		}
	}
	x.runs++
	gi.runs = append(gi.runs, run{epoch: epoch, extensions: p.extensions, term: p.term, first: i, offs: []uint32{p.off},
		sizes: []uint32{p.size}})
}

func (x *index) addBody(g rookery.GroupID, i uint64, p place) {
	gi := x.group(g)
	if gi.bodies == nil {
		gi.bodies = map[uint64]place{}
	}
	if _, ok := gi.bodies[i]; !ok {
		x.runs++
	}
	gi.bodies[i] = p
}

// entry finds the newest version of a Raft entry written in the epoch.
func (x *index) entry(g rookery.GroupID, epoch uint32, i uint64) (place, bool) {
	gi := x.groups[g]
	if gi == nil {
		return place{}, false
	}
	for k := len(gi.runs) - 1; k >= 0; k-- {
		if r := &gi.runs[k]; r.epoch == epoch {
			if p, ok := r.at(i); ok {
				return p, true
			}
		}
	}
	return place{}, false
}

// outside finds an entry or body of any epoch by index and term (0 = any).
func (x *index) outside(g rookery.GroupID, i, term uint64) (p place, body, ok bool) {
	gi := x.groups[g]
	if gi == nil {
		return place{}, false, false
	}
	if p, ok := gi.bodies[i]; ok && (term == 0 || p.term == term) {
		return p, true, true
	}
	for k := len(gi.runs) - 1; k >= 0; k-- {
		if p, ok := gi.runs[k].at(i); ok && (term == 0 || p.term == term) {
			return p, false, true
		}
	}
	return place{}, false, false
}

// bound is at least the size of encode's result after more entries were added.
func (x *index) bound(more int) int64 {
	return 64 + int64(x.runs+more)*48 + int64(x.entries+more)*10 + int64(len(x.groups)+more)*12
}

// memory is about what the index holds.
func (x *index) memory() int64 { return int64(x.runs)*160 + int64(x.entries)*8 + 512 }

// encode is the footer's form: per group its runs, then its bodies. Offsets
// are deltas, for records follow each other.
func (x *index) encode() []byte {
	b := make([]byte, 0, x.bound(0))
	b = binary.AppendUvarint(b, uint64(len(x.groups)))
	for g, gi := range x.groups {
		b = binary.AppendUvarint(b, uint64(g))
		b = binary.AppendUvarint(b, uint64(len(gi.runs)))
		for i := range gi.runs {
			b = gi.runs[i].encode(b)
		}
		b = binary.AppendUvarint(b, uint64(len(gi.bodies)))
		for i, p := range gi.bodies {
			b = (&run{extensions: p.extensions, term: p.term, first: i, offs: []uint32{p.off}, sizes: []uint32{p.size}}).encode(b)
		}
	}
	return b
}

func (r *run) encode(b []byte) []byte {
	for _, v := range [...]uint64{uint64(r.epoch), uint64(r.extensions), r.term, r.first, uint64(len(r.offs))} {
		b = binary.AppendUvarint(b, v)
	}
	prev := uint32(0)
	for i, off := range r.offs {
		b = binary.AppendUvarint(b, uint64(off-prev))
		b = binary.AppendUvarint(b, uint64(r.sizes[i]))
		prev = off
	}
	return b
}

var errFormat = errors.New("the encoding breaks off or contradicts itself")

// cursor reads uvarints and remembers that it failed.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) next() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.bad, c.b = true, nil
		return 0
	}
	c.b = c.b[n:]
	return v
}

// count reads the number of items that take at least size bytes each.
func (c *cursor) count(size int) int {
	n := c.next()
	if n > uint64(len(c.b)/size) {
		c.bad, c.b = true, nil
		return 0
	}
	return int(n)
}

func (c *cursor) bytes() []byte {
	n := c.count(1)
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

func decodeIndex(b []byte) (*index, error) {
	c, x := &cursor{b: b}, newIndex()
	for range c.count(3) {
		g := rookery.GroupID(c.next())
		gi := x.group(g)
		for range c.count(7) {
			r := c.run()
			x.entries += len(r.offs)
			x.runs++
			gi.runs = append(gi.runs, r)
		}
		for range c.count(7) {
			if r := c.run(); len(r.offs) == 1 {
				x.addBody(g, r.first, place{off: r.offs[0], size: r.sizes[0], extensions: r.extensions, term: r.term})
			}
		}
	}
	if c.bad || len(c.b) > 0 {
		return nil, errFormat
	}
	return x, nil
}

func (c *cursor) run() run {
	r := run{epoch: uint32(c.next()), extensions: uint32(c.next()), term: c.next(), first: c.next()}
	n := c.count(2)
	r.offs, r.sizes = make([]uint32, n), make([]uint32, n)
	prev := uint32(0)
	for i := range r.offs {
		prev += uint32(c.next())
		r.offs[i], r.sizes[i] = prev, uint32(c.next())
	}
	return r
}
