package log

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"rookery"
)

// A checkpoint is the first record of every segment: which segments are live
// and what lies where in them. Opening a log reads the newest checkpoint and
// the frames after it.
type checkpoint struct {
	segments []liveSegment
	groups   []groupState
}

type liveSegment struct {
	id, salt   uint64
	slot       uint32
	firstFrame uint64
	footer     span
}

type groupState struct {
	id     rookery.GroupID
	epoch  uint32
	permit uint64
	damage damage
	log    []extentState
	old    []extentState
}

type extentState struct {
	first, last uint64
	segment     int // position in checkpoint.segments
	bytes       int64
	body        bool
}

// checkpoint describes the published state. The caller is the writer, or
// holds the lock.
func (l *Log) checkpoint() checkpoint {
	var c checkpoint
	at := map[*segment]int{}
	for _, id := range slices.Sorted(maps.Keys(l.segments)) {
		s := l.segments[id]
		at[s] = len(c.segments)
		c.segments = append(c.segments, liveSegment{id: s.id, salt: s.salt, slot: s.slot.number, firstFrame: s.firstFrame, footer: s.footer})
	}
	list := func(es extents) []extentState {
		out := make([]extentState, 0, len(es))
		for _, e := range es {
			out = append(out, extentState{first: e.first, last: e.last, segment: at[e.segment], bytes: e.bytes, body: e.body})
		}
		return out
	}
	for _, id := range slices.Sorted(maps.Keys(l.groups)) {
		g := l.groups[id]
		c.groups = append(c.groups, groupState{id: id, epoch: g.epoch, permit: g.permit, damage: g.damage, log: list(g.log), old: list(g.old)})
	}
	return c
}

func (c checkpoint) encode() []byte {
	b := binary.AppendUvarint(nil, formatVersion)
	b = binary.AppendUvarint(b, uint64(len(c.segments)))
	for _, s := range c.segments {
		for _, v := range [...]uint64{s.id, s.salt, uint64(s.slot), s.firstFrame, uint64(s.footer.off), uint64(s.footer.size)} {
			b = binary.AppendUvarint(b, v)
		}
	}
	list := func(es []extentState) {
		b = binary.AppendUvarint(b, uint64(len(es)))
		for _, e := range es {
			body := uint64(0)
			if e.body {
				body = 1
			}
			for _, v := range [...]uint64{e.first, e.last - e.first, uint64(e.segment), uint64(e.bytes), body} {
				b = binary.AppendUvarint(b, v)
			}
		}
	}
	b = binary.AppendUvarint(b, uint64(len(c.groups)))
	for _, g := range c.groups {
		b = binary.AppendUvarint(b, uint64(g.id))
		b = binary.AppendUvarint(b, uint64(g.epoch))
		b = binary.AppendUvarint(b, g.permit)
		lost := uint64(0)
		if g.damage.lost {
			lost = 1
		}
		b = binary.AppendUvarint(b, lost)
		b = binary.AppendUvarint(b, uint64(len(g.damage.why)))
		b = append(b, g.damage.why...)
		list(g.log)
		list(g.old)
	}
	return b
}

func decodeCheckpoint(b []byte) (checkpoint, error) {
	c, cp := &cursor{b: b}, checkpoint{}
	if v := c.next(); v != formatVersion {
		return cp, fmt.Errorf("checkpoint version %d is not known here: start a newer binary", v)
	}
	for range c.count(6) {
		cp.segments = append(cp.segments, liveSegment{id: c.next(), salt: c.next(), slot: uint32(c.next()), firstFrame: c.next(),
			footer: span{int64(c.next()), int64(c.next())}})
	}
	list := func() (es []extentState) {
		for range c.count(5) {
			e := extentState{first: c.next()}
			e.last = e.first + c.next()
			at := c.next()
			e.bytes, e.body = int64(c.next()), c.next() == 1
			if at >= uint64(len(cp.segments)) || e.last < e.first || e.bytes < 0 {
				c.bad = true
				return nil
			}
			e.segment = int(at)
			es = append(es, e)
		}
		return es
	}
	for range c.count(7) {
		cp.groups = append(cp.groups, groupState{id: rookery.GroupID(c.next()), epoch: uint32(c.next()), permit: c.next(),

			damage: damage{lost: c.next() == 1, why: string(c.bytes())}, log: list(), old: list()})
	}
	if c.bad || len(c.b) > 0 {
		return cp, errFormat
	}
	return cp, nil
}
