package verify

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"rookery"
	"rookery/backup/archive"
	"rookery/backup/sealed"
	"rookery/storage/command"
	"rookery/storage/state"
)

// atOnce bounds the objects that are read at one time.
const atOnce = 8

// sum tells an entry from another, whether or not its body rides with it.
type sum [sha256.Size]byte

// looked is what came of a segment.
type looked struct {
	err   error
	sums  map[rookery.LogIndex]sum // where another has the same entries
	packs map[command.PackID]int64
	size  int64
}

func (g *group) checkSegments(ctx context.Context) error { return g.segmentsFrom(ctx, 0) }

// segmentsFrom reads the segments from a position on, some at a time, and compares those
// that have entries in common.
func (g *group) segmentsFrom(ctx context.Context, from int) error {
	known := map[rookery.LogIndex]sum{}
	var upto rookery.LogIndex
	for ; from < len(g.segments); from += atOnce {
		some := g.segments[from:min(from+atOnce, len(g.segments))]
		results := make([]looked, len(some))
		work, ctx2 := errgroup.WithContext(ctx)
		for i := range some {
			twice := g.shared(from + i)
			work.Go(func() error {
				results[i] = g.segment(ctx2, &some[i].SegmentInfo, twice)
				return ctx2.Err()
			})
		}
		if err := work.Wait(); err != nil {
			return err
		}
		for i := range some {
			if some[i].First > upto {
				clear(known)
			}
			upto = max(upto, some[i].Last)
			if err := g.took(ctx, from+i, &results[i], known); err != nil {
				return err
			}
		}
		if err := g.step(g.id, len(some)); err != nil {
			return err
		}
	}
	return nil
}

// shared reports whether another segment has entries of this one.
func (g *group) shared(i int) bool {
	s := &g.segments[i]
	return i > 0 && g.segments[i-1].Last >= s.First || i+1 < len(g.segments) && g.segments[i+1].First <= s.Last
}

// took judges what came of a segment.
func (g *group) took(ctx context.Context, i int, x *looked, known map[rookery.LogIndex]sum) error {
	s := &g.segments[i]
	f := fault{first: s.First, last: s.Last}
	switch {
	case x.err == nil:
		for index, sum := range x.sums {
			if other, is := known[index]; is && other != sum {
				f.Finding = Finding{Key: s.Key(), Fault: Differs, Detail: fmt.Sprintf("it has another entry %d than the segment before it", index)}
				g.bad(f)
				return nil
			}
			known[index] = sum
		}
		for id, end := range x.packs {
			g.packs[id] = max(g.packs[id], end)
		}
		g.report.Segments++
		g.report.Bytes += x.size
		s.good = true
		return nil
	default:
		var err error
		if f.Finding, err = g.fault(ctx, s.Key(), x.err); err != nil {
			return err
		}
	}
	if f.Fault == Missing {
		needed, err := g.needed(nil, &s.SegmentInfo)
		if err != nil || !needed {
			s.good = err == nil
			return err
		}
	}
	g.bad(f)
	return nil
}

// segment reads one. twice says that another has entries of it.
func (g *group) segment(ctx context.Context, s *archive.SegmentInfo, twice bool) (x looked) {
	x.packs, x.size = map[command.PackID]int64{}, s.Size
	if twice {
		x.sums = map[rookery.LogIndex]sum{}
	}
	r, err := g.o.Archive.Open(ctx, sealed.Segment, s.Key(), s.Size)
	var words archive.SegmentWords
	if err == nil {
		err = r.Words(&words)
	}
	if err == nil && len(words.Frames) != r.Frames() {
		err = differs("it lists %d frames and has %d", len(words.Frames), r.Frames())
	}
	read := segmentReader{s: s, out: &x}
	for n := 0; err == nil && n < r.Frames(); n++ {
		var b []byte
		if b, err = r.Frame(ctx, n); err == nil {
			read.frame = &words.Frames[n]
			err = archive.Entries(b, read.entry)
		}
	}
	if err == nil {
		err = read.end(words.Entries)
	}
	x.err = err
	return x
}

func differs(format string, args ...any) error {
	return rookery.E("verify", rookery.KindDamaged, fmt.Errorf(format, args...))
}

// segmentReader looks at the entries of a segment.
type segmentReader struct {
	s     *archive.SegmentInfo
	frame *archive.FrameWords
	out   *looked
	last  archive.Entry
	n     uint64
}

func (r *segmentReader) entry(e *archive.Entry) error {
	switch {
	case e.Index < r.s.First || e.Index > r.s.Last:
		return differs("it has entry %d, which its name does not have", e.Index)
	case e.Index <= r.last.Index:
		return differs("entry %d comes behind entry %d", e.Index, r.last.Index)
	case e.Time < r.s.From || e.Time > r.s.To || r.n == 0 && e.Time != r.s.From:
		return differs("entry %d is of a time that its name does not have", e.Index)
	}
	if err := r.concerns(e); err != nil {
		return err
	}
	if e.Pack != "" {
		r.out.packs[e.Pack] = max(r.out.packs[e.Pack], e.Off+e.PayloadLen)
	}
	if r.out.sums != nil {
		r.out.sums[e.Index] = sumOf(e)
	}
	r.last, r.n = archive.Entry{Index: e.Index, Time: e.Time}, r.n+1
	return nil
}

// concerns refuses an entry that a replay would not find, or not understand.
func (r *segmentReader) concerns(e *archive.Entry) error {
	_, offset, err := state.Unwrap(e.Head)
	if err != nil {
		return errors.Join(differs("entry %d cannot be read", e.Index), err)
	}
	c, _, err := command.Decode(e.Head[offset:])
	if err != nil {
		return errors.Join(differs("entry %d cannot be read by this version", e.Index), err)
	}
	t := c.Touches()
	if t.Kind == command.TouchAll && !r.frame.All {
		return differs("entry %d concerns all accounts, and its frame does not say so", e.Index)
	}
	for _, id := range t.Accounts {
		if !r.frame.Concerns(id) {
			return differs("entry %d concerns account %s, and its frame does not say so", e.Index, id)
		}
	}
	return nil
}

func (r *segmentReader) end(entries uint64) error {
	switch {
	case r.n != entries:
		return differs("it says that it has %d entries, and has %d", entries, r.n)
	case r.n > 0 && r.last.Time != r.s.To:
		return differs("it ends before the time in its name")
	}
	return nil
}

// sumOf leaves out where the body is: one leader saw it packed, another did not.
func sumOf(e *archive.Entry) (s sum) {
	h := sha256.New()
	b := binary.BigEndian.AppendUint64(nil, uint64(e.Index))
	b = binary.BigEndian.AppendUint64(b, e.Term)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Time))
	b = binary.BigEndian.AppendUint64(b, uint64(e.PayloadLen))
	h.Write(b)
	h.Write(e.Head)
	h.Sum(s[:0])
	return s
}
