package log

import (
	"fmt"
	"math"
	"slices"

	"rookery"
)

// Class says what a floor is worth when the disk budget is exceeded.
type Class uint8

// The classes. Nothing passes a floor of class Bodies: what it holds exists
// nowhere else. A floor of class Archive holds back what is within the disk
// budget; above it, where nothing else may go, the oldest files go in spite of
// it, and Stats says what is missing.
const (
	Bodies Class = iota + 1
	Archive
)

func (c Class) String() string {
	switch c {
	case Bodies:
		return "bodies"
	case Archive:
		return "archive"
	}
	return fmt.Sprintf("class %d", uint8(c))
}

// BodiesFloor is the floor a log has where Options.Floors names none.
const BodiesFloor = "bodies"

// ArchiveFloor is the usual name of the floor of what is not archived yet, of class
// Archive.
const ArchiveFloor = "archive"

// Released is a floor that holds nothing: of a group without bodies, or while
// nothing is archived.
const Released rookery.LogIndex = math.MaxUint64

// floors are one group's: the index of each name in Options.Floors, in the
// order of names. They are not stored: each follows from what its owner knows,
// and after a start holds everything until its owner has said so again.
type floors []uint64

// namedClass is one of Options.Floors.
type namedClass struct {
	name  string
	class Class
}

func sortFloors(m map[string]Class) ([]namedClass, error) {
	if len(m) == 0 {
		m = map[string]Class{BodiesFloor: Bodies}
	}
	var out []namedClass
	for name, class := range m {
		if class != Bodies && class != Archive {
			return nil, rookery.E("open log", rookery.KindInvalid, fmt.Errorf("Options.Floors: %q has no class: use Bodies or Archive", name))
		}
		out = append(out, namedClass{name, class})
	}
	slices.SortFunc(out, func(a, b namedClass) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return out, nil
}

// SetFloor says that who goes by that name needs the group's entries from index
// on. Entries below all floors may go once Raft has also permitted it. An index
// of 0, the state after Open, needs everything; Released nothing. A floor may go
// back, which brings nothing back. The name is one of Options.Floors, else the
// error is of KindInvalid.
func (g *Group) SetFloor(name string, index rookery.LogIndex) error {
	i := slices.IndexFunc(g.l.floors, func(f namedClass) bool { return f.name == name })
	if i < 0 {
		return rookery.E("set floor", rookery.KindInvalid, fmt.Errorf("%q is none of the log's floors: name it in Options.Floors", name))
	}
	g.l.mu.Lock()
	g.floors[i] = uint64(index)
	g.l.mu.Unlock()
	g.l.kickKeeper()
	return nil
}

// keep is the lowest of the floors, only of those of class Bodies if the disk
// forces it. The caller holds the lock.
func (g *Group) keep(forced bool) uint64 {
	keep := uint64(math.MaxUint64)
	for i, f := range g.l.floors {
		if !forced || f.class == Bodies {
			keep = min(keep, g.floors[i])
		}
	}
	return keep
}

// lowest is the lowest entry of Raft's range that must stay. The last stays
// always: a group's newest entry is what its neighbours ask for first. The
// caller holds the lock.
func (g *Group) lowest(forced bool) uint64 { return min(g.permit, g.keep(forced), g.log.last()) }

// release gives up what all floors hold, until something is stored again.
func (g *Group) release() {
	for i := range g.floors {
		g.floors[i] = math.MaxUint64
	}
	g.released.Store(true)
}

// begin takes back what Erase has done to the floors, before the group's first
// new entry or body.
func (g *Group) begin() {
	if !g.released.CompareAndSwap(true, false) {
		return
	}
	g.l.mu.Lock()
	clear(g.floors)
	g.l.mu.Unlock()
}

// FloorStats is one floor of a group.
type FloorStats struct {
	Name  string
	Class Class
	Index rookery.LogIndex
	// HeldBytes is what could go but for this floor, estimated per segment.
	HeldBytes int64
	// From and To are the entries at or above Index that Raft's range has
	// lost: the disk budget forced them out, or an installed image skipped
	// them. Both are 0 where none is missing.
	From, To rookery.LogIndex
}

// floorStats reports all floors. The caller holds the lock.
func (g *Group) floorStats() []FloorStats {
	out := make([]FloorStats, 0, len(g.floors))
	for i, f := range g.l.floors {
		at := g.floors[i]
		s := FloorStats{Name: f.name, Class: f.class, Index: rookery.LogIndex(at)}
		others := uint64(math.MaxUint64)
		for k, o := range g.floors {
			if k != i {
				others = min(others, o)
			}
		}
		s.HeldBytes = g.log.bytes(at, min(others, g.permit, g.log.last())) + g.old.bytes(at, others)
		if first := g.log.first(); at > 0 && at < first {
			s.From, s.To = rookery.LogIndex(at), rookery.LogIndex(first-1)
		}
		out = append(out, s)
	}
	return out
}

// bytes is about the size of the entries from first to before end.
func (es extents) bytes(first, end uint64) (n int64) {
	for _, e := range es {
		if end > 0 {
			n += e.within(first, end-1).bytes
		}
	}
	return n
}

// forcedOut says what a segment that goes takes with it although a floor holds
// it. The caller holds the lock.
func (l *Log) forcedOut(s *segment) (lost []gap) {
	for id, g := range l.groups {
		add := func(es extents, from, end uint64) {
			for _, e := range es {
				if e.segment == s && !e.body && e.last >= from && e.first < end {
					lost = append(lost, gap{id, max(e.first, from), min(e.last, end-1)})
				}
			}
		}
		add(g.log, g.lowest(false), g.lowest(true))
		add(g.old, g.keep(false), g.keep(true))
	}
	return lost
}

// gap is a stretch of entries that were given up.
type gap struct {
	group    rookery.GroupID
	from, to uint64
}

// tell reports what was forced out.
func (l *Log) tell(lost []gap) {
	for _, x := range lost {
		l.mu.Lock()
		l.stats.Forced += x.to - x.from + 1
		l.mu.Unlock()
		l.opts.Logger.Error("log: the disk budget is exceeded: entries were given up that are not archived; see to the archive, or "+
			"raise the budget",
			"group", x.group, "from", x.from, "to", x.to)
	}
}
