// Package uidset holds sets of UIDs as runs, which is how commands, results and
// sessions name messages (RFC 9051 9, sequence-set). It owns their order, their
// encoding and what is done with two of them.
//
// It knows no mailbox, and never changes a set that somebody else may hold.
package uidset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sort"
	"strings"

	"rookery"
)

// Run is Count consecutive UIDs from Start.
type Run struct {
	Start rookery.UID
	Count uint32
}

// End is the run's last UID.
func (r Run) End() rookery.UID { return r.Start + rookery.UID(r.Count-1) }

// Set is an immutable ascending list of UIDs, kept as runs: its memory is
// proportional to the gaps, not to the messages. The zero value is empty.
// Sessions share one list; every change gives a new one.
type Set struct {
	runs   []Run
	before []uint32 // before[i]: UIDs in runs[:i]
	n      uint32
}

// MaxRuns bounds the runs of a list inside a command or result.
const MaxRuns = 1 << 20

// New makes a list of UIDs in any order; duplicates and 0 are dropped.
func New(uids ...rookery.UID) Set {
	s := uids
	if !slices.IsSorted(s) {
		s = slices.Clone(s)
		slices.Sort(s)
	}
	var b Builder
	for _, u := range s {
		b.Add(u)
	}
	return b.Set()
}

// Range is the list of all UIDs from first to last; empty where last < first.
func Range(first, last rookery.UID) Set {
	var b Builder
	b.AddRange(first, last)
	return b.Set()
}

// Builder collects ascending UIDs. The zero value is ready.
type Builder struct{ runs []Run }

// Add appends u; a UID not above all earlier ones is ignored.
func (b *Builder) Add(u rookery.UID) { b.AddRange(u, u) }

// AddRange appends first to last; what is not above all earlier UIDs is
// ignored.
func (b *Builder) AddRange(first, last rookery.UID) {
	if first == 0 {
		first = 1
	}
	if n := len(b.runs); n > 0 {
		r := &b.runs[n-1]
		end := r.End()
		if last <= end {
			return
		}
		if first <= end || first == end+1 {
			r.Count += uint32(last - end)
			return
		}
	}
	if last < first {
		return
	}
	b.runs = append(b.runs, Run{first, uint32(last - first + 1)})
}

// Set is the list so far; the builder must not be used after it.
func (b *Builder) Set() Set { return fromRuns(b.runs) }

// fromRuns takes over ascending, disjoint, non-adjacent runs.
func fromRuns(runs []Run) Set {
	u := Set{runs: runs, before: make([]uint32, len(runs))}
	for i, r := range runs {
		u.before[i] = u.n
		u.n += r.Count
	}
	return u
}

// Len is the number of UIDs.
func (u Set) Len() int { return int(u.n) }

// Empty reports whether the list has no UID.
func (u Set) Empty() bool { return u.n == 0 }

// First and Last are the list's ends; 0 in an empty list.
func (u Set) First() rookery.UID {
	if len(u.runs) == 0 {
		return 0
	}
	return u.runs[0].Start
}

// Last is the highest UID; 0 in an empty list.
func (u Set) Last() rookery.UID {
	if len(u.runs) == 0 {
		return 0
	}
	return u.runs[len(u.runs)-1].End()
}

// At is the UID of a message sequence number, counted from 1 (RFC 9051
// 2.3.1.2); 0 where there is none.
func (u Set) At(seq uint32) rookery.UID {
	if seq == 0 || seq > u.n {
		return 0
	}
	i := sort.Search(len(u.before), func(i int) bool { return u.before[i] >= seq }) - 1
	return u.runs[i].Start + rookery.UID(seq-1-u.before[i])
}

// run is the position of the last run that starts at or below uid, or -1.
func (u Set) run(uid rookery.UID) int {
	return sort.Search(len(u.runs), func(i int) bool { return u.runs[i].Start > uid }) - 1
}

// Seq is a UID's message sequence number, counted from 1.
func (u Set) Seq(uid rookery.UID) (uint32, bool) {
	i := u.run(uid)
	if i < 0 || uid > u.runs[i].End() {
		return 0, false
	}
	return u.before[i] + uint32(uid-u.runs[i].Start) + 1, true
}

// Below is the number of UIDs below uid.
func (u Set) Below(uid rookery.UID) uint32 {
	i := u.run(uid)
	if i < 0 {
		return 0
	}
	return u.before[i] + min(uint32(uid-u.runs[i].Start), u.runs[i].Count)
}

// Contains reports whether uid is in the list.
func (u Set) Contains(uid rookery.UID) bool {
	_, ok := u.Seq(uid)
	return ok
}

// Append gives the list with uid, which must be above Last; else u itself.
func (u Set) Append(uid rookery.UID) Set { return u.AppendRange(uid, uid) }

// AppendRange gives the list with first to last added behind its end.
func (u Set) AppendRange(first, last rookery.UID) Set {
	if first <= u.Last() || last < first {
		return u
	}
	return u.Union(Range(first, last))
}

// Without gives the list less the UIDs of v.
func (u Set) Without(v Set) Set {
	if v.Empty() || u.Empty() {
		return u
	}
	var b Builder
	j := 0
	for _, r := range u.runs {
		start, end := uint64(r.Start), uint64(r.End())
		for j < len(v.runs) && uint64(v.runs[j].End()) < start {
			j++
		}
		for k := j; k < len(v.runs) && uint64(v.runs[k].Start) <= end; k++ {
			if s := uint64(v.runs[k].Start); s > start {
				b.AddRange(rookery.UID(start), rookery.UID(s-1))
			}
			start = uint64(v.runs[k].End()) + 1
		}
		if start <= end {
			b.AddRange(rookery.UID(start), rookery.UID(end))
		}
	}
	return b.Set()
}

// Intersect gives the UIDs that are in both lists.
func (u Set) Intersect(v Set) Set {
	var b Builder
	for i, j := 0, 0; i < len(u.runs) && j < len(v.runs); {
		s := max(u.runs[i].Start, v.runs[j].Start)
		e := min(u.runs[i].End(), v.runs[j].End())
		if s <= e {
			b.AddRange(s, e)
		}
		if u.runs[i].End() < v.runs[j].End() {
			i++
		} else {
			j++
		}
	}
	return b.Set()
}

// Union gives the UIDs that are in either list.
func (u Set) Union(v Set) Set {
	if u.Empty() {
		return v
	}
	if v.Empty() {
		return u
	}
	if v.Last() < u.First() {
		u, v = v, u
	}
	if u.Last() < v.First() {
		return u.join(v)
	}
	runs := append(append(make([]Run, 0, len(u.runs)+len(v.runs)), u.runs...), v.runs...)
	slices.SortFunc(runs, func(a, b Run) int {
		if a.Start < b.Start {
			return -1
		}
		return 1
	})
	var b Builder
	for _, r := range runs {
		b.AddRange(r.Start, r.End())
	}
	return b.Set()
}

// join puts v behind u, whose UIDs are all lower.
func (u Set) join(v Set) Set {
	n := len(u.runs)
	runs := append(append(make([]Run, 0, n+len(v.runs)), u.runs...), v.runs...)
	if u.Last()+1 == v.First() {
		runs[n-1].Count += runs[n].Count
		runs = slices.Delete(runs, n, n+1)
	}
	before := append(make([]uint32, 0, len(runs)), u.before...)
	for i := n; i < len(runs); i++ {
		before = append(before, before[i-1]+runs[i-1].Count)
	}
	return Set{runs, before, u.n + v.n}
}

// Equal reports whether the lists hold the same UIDs.
func (u Set) Equal(v Set) bool { return slices.Equal(u.runs, v.runs) }

// Runs is the list's runs, ascending, never adjacent. It must not be changed.
func (u Set) Runs() []Run { return u.runs }

// All iterates over the UIDs in ascending order.
func (u Set) All() iter.Seq[rookery.UID] {
	return func(yield func(rookery.UID) bool) {
		for _, r := range u.runs {
			for i := uint32(0); i < r.Count; i++ {
				if !yield(r.Start + rookery.UID(i)) {
					return
				}
			}
		}
	}
}

// String is the list as an IMAP sequence set, RFC 9051 9.
func (u Set) String() string {
	var b strings.Builder
	for i, r := range u.runs {
		if i > 0 {
			b.WriteByte(',')
		}
		if fmt.Fprint(&b, uint32(r.Start)); r.Count > 1 {
			fmt.Fprint(&b, ":", uint32(r.End()))
		}
	}
	return b.String()
}

// MarshalBinary gives uvarint pairs: the gap before each run, its length.
func (u Set) MarshalBinary() ([]byte, error) {
	b := make([]byte, 0, 4*len(u.runs))
	var end uint64
	for _, r := range u.runs {
		b = binary.AppendUvarint(b, uint64(r.Start)-end)
		b = binary.AppendUvarint(b, uint64(r.Count))
		end = uint64(r.End())
	}
	return b, nil
}

// UnmarshalBinary reads what MarshalBinary wrote and refuses anything else.
func (u *Set) UnmarshalBinary(b []byte) error {
	bad := rookery.E("decode UIDs", rookery.KindInvalid, errors.New("the list of UIDs is damaged"))
	var runs []Run
	var end uint64
	for len(b) > 0 {
		gap, n := binary.Uvarint(b)
		if n <= 0 {
			return bad
		}
		b = b[n:]
		count, n := binary.Uvarint(b)
		if n <= 0 || gap == 0 || count == 0 || gap > 1<<32 || count > 1<<32 || (gap == 1 && end > 0) || len(runs) == MaxRuns {
			return bad
		}
		b = b[n:]
		if end+gap+count-1 > 0xffffffff {
			return bad
		}
		runs = append(runs, Run{rookery.UID(end + gap), uint32(count)})
		end += gap + count - 1
	}
	*u = fromRuns(runs)
	return nil
}
