package past

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"rookery"
	"rookery/backup/archive"
	"rookery/backup/sealed"
	"rookery/storage/blob"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
	"rookery/storage/state"
)

// GroupOptions say which group Group brings back, and where to.
type GroupOptions struct {
	Archive *Archive
	Group   rookery.GroupID
	// State has nothing applied yet. A Group that fails leaves it unusable.
	State *state.Group
	// At is group time, unix nanoseconds: what was decided at it counts.
	At int64
	// Live is the store of packs, and Put keeps the data of a log entry of which a part
	// of a body is read from then on. Both nil: the group has no bodies.
	Live blob.Store
	Put  func(index rookery.LogIndex, term uint64, data []byte) error
	// Configuration is the encoded Raft configuration that the group is left with.
	Configuration []byte
	// Progress is told now and then how many of the segments have been read.
	Progress func(done, of int)
}

// Result is what Group did.
type Result struct {
	Chain Chain
	// Until is the group time of the last entry applied, unix nanoseconds.
	Until int64
	// Entries were applied, and Bodies pieces of bodies put that no pack held.
	Entries uint64
	Bodies  int
	// Lost are bodies' pieces that neither the archive nor a pack has.
	Lost int
	// Next is an entry of the log that nobody has given, nor the lost future: what goes
	// on with the group begins there.
	Next rookery.LogIndex
}

// beyond is how far a group that was brought back goes on above everything that the
// archive knows of it: what was decided last may never have been archived.
const beyond = 1 << 20

// Group brings a whole group back. Its results are the same as if the group had stopped
// at that time, but that debts to other groups which were settled just before it are
// owed again: the others may not have gone on as far, and know what they have been
// given already. Errors are those of Archive.Chain.
func Group(ctx context.Context, o GroupOptions) (r Result, err error) {
	g := &groupReader{o: o}
	if r.Chain, err = o.Archive.Chain(ctx, o.Group, o.At); err != nil {
		return r, err
	}
	r.Next, err = g.next(ctx, &r.Chain)
	if err == nil {
		err = g.begin(ctx, &r.Chain)
	}
	if err == nil {
		r.Entries, err = g.replay(ctx, &r.Chain)
	}
	r.Until = g.last.Time
	if err == nil && o.Put != nil {
		r.Bodies, r.Lost, err = g.bodies(ctx, &r.Chain)
	}
	if err == nil {
		err = g.moveOn(r.Next)
	}
	if err != nil {
		return r, rookery.E(fmt.Sprintf("bring back group %d", o.Group), 0, err)
	}
	return r, nil
}

type groupReader struct {
	o    GroupOptions
	last state.Replayed // without data
}

// next is beyond everything that the archive has of the group.
func (g *groupReader) next(ctx context.Context, c *Chain) (rookery.LogIndex, error) {
	high := c.Upto
	segments, err := archive.Segments(ctx, g.o.Archive.Store, g.o.Group)
	if err != nil {
		return 0, err
	}
	for _, s := range segments {
		high = max(high, s.Last)
	}
	images, err := archive.Images(ctx, g.o.Archive.Store, g.o.Group)
	for _, i := range images {
		high = max(high, i.Index)
	}
	return high + beyond, err
}

// begin loads every row of the image.
func (g *groupReader) begin(ctx context.Context, c *Chain) error {
	in, out := io.Pipe()
	written := make(chan error, 1)
	image := g.o.Archive.image(ctx, c.Image, &c.Words)
	go func() {
		err := state.WriteImage(out, c.Image.Index, c.Words.Term, c.Image.Time, func(row func(k, v []byte) error) error {
			for p := range c.Words.Parts {
				for f := range c.Words.Parts[p].Keys {
					b, err := image.bytes(archive.FrameAt{Part: p, Frame: f})
					if err == nil {
						err = archive.Rows(b, row)
					}
					if err != nil {
						return err
					}
				}
			}
			return nil
		})
		written <- err
		out.CloseWithError(err)
	}()
	err := g.o.State.Restore(in)
	in.CloseWithError(errEnded)
	if werr := <-written; werr != nil && !errors.Is(werr, errEnded) {
		return werr
	}
	g.last = state.Replayed{Entry: rookery.Entry{Index: c.Image.Index, Term: c.Words.Term}, Time: c.Image.Time}
	return err
}

// owedAgain is for how long before the time debts to other groups count as not settled,
// and remembered how much longer it is known what those had been given.
const (
	owedAgain  = 5e9
	remembered = 60e9
)

// leaves reports whether a command is not executed again.
func (g *groupReader) leaves(c command.Command, at int64) bool {
	switch c.(type) {
	case *command.ItemResult:
		return at > g.o.At-owedAgain
	case *command.ItemForget:
		return at > g.o.At-remembered
	}
	return false
}

// replay applies all segments.
func (g *groupReader) replay(ctx context.Context, c *Chain) (n uint64, err error) {
	var some []state.Replayed
	bytes := 0
	flush := func() error {
		results, err := g.o.State.Replay(some)
		if err != nil {
			return err
		}
		for i, out := range results {
			if err := state.ResultError("replay", out); err != nil && some[i].Time <= g.o.At-owedAgain {
				return rookery.E("replay", rookery.KindDamaged,
					fmt.Errorf("entry %d was executed then, and is refused now: %w", some[i].Index, err))
			}
		}
		n += uint64(len(some))
		some, bytes = some[:0], 0
		return ctx.Err()
	}
	for i, s := range c.Segments {
		if err := g.entries(ctx, s, func(e *archive.Entry) error {
			if e.Time > g.o.At || e.Index <= g.last.Index {
				return nil
			}
			x, err := decode(e)
			if err != nil {
				return err
			}
			g.last = state.Replayed{Entry: rookery.Entry{Index: e.Index, Term: e.Term}, Time: e.Time}
			if g.leaves(x, e.Time) {
				return nil
			}
			data := append(slices.Clone(e.Head), make([]byte, e.PayloadLen)...) // of a body only its size counts
			some = append(some, state.Replayed{Entry: rookery.Entry{Index: e.Index, Term: e.Term, Data: data}, Time: e.Time})
			if bytes += len(data); len(some) < batch && bytes < 8<<20 {
				return nil
			}
			return flush()
		}); err != nil {
			return n, err
		}
		if g.o.Progress != nil {
			g.o.Progress(i+1, len(c.Segments))
		}
	}
	return n, flush()
}

// entries calls fn for the entries of a segment, in the order of the log.
func (g *groupReader) entries(ctx context.Context, s archive.SegmentInfo, fn func(*archive.Entry) error) error {
	r, err := g.o.Archive.Open(ctx, sealed.Segment, s.Key(), s.Size)
	if err != nil {
		return err
	}
	for n := range r.Frames() {
		b, err := r.Frame(ctx, n)
		if err == nil {
			err = archive.Entries(b, fn)
		}
		if err != nil {
			return rookery.E("read "+s.Key(), 0, err)
		}
	}
	return nil
}

// wanted are the pieces of bodies in one entry of the log that no pack holds.
type wanted struct {
	term   uint64
	pieces []mailbox.LogPiece
}

// bodies puts the entries where the rows say that bodies lie, for those that no pack
// held at that time.
func (g *groupReader) bodies(ctx context.Context, c *Chain) (put, lost int, err error) {
	want := map[rookery.LogIndex]*wanted{}
	snap := g.o.State.Read()
	err = mailbox.OutsidePacks(snap, func(p mailbox.LogPiece) error {
		w := want[p.Index]
		if w == nil {
			w = &wanted{term: p.Term}
			want[p.Index] = w
		}
		w.pieces = append(w.pieces, p)
		return nil
	})
	snap.Close()
	if err != nil {
		return 0, 0, err
	}
	for _, s := range c.Segments {
		if !slices.ContainsFunc(keysOf(want), func(i rookery.LogIndex) bool { return s.First <= i && i <= s.Last }) {
			continue
		}
		if err := g.entries(ctx, s, func(e *archive.Entry) error {
			w := want[e.Index]
			if w == nil {
				return nil
			}
			data := append(slices.Clone(e.Head), e.Payload...)
			if e.Pack != "" {
				if data, err = g.fromPack(ctx, e); err != nil {
					if rookery.Is(err, rookery.KindNotFound) {
						return nil // an image may have it
					}
					return err
				}
			}
			put += len(w.pieces)
			delete(want, e.Index)
			return g.o.Put(e.Index, e.Term, data)
		}); err != nil {
			return put, lost, err
		}
	}
	image := g.o.Archive.image(ctx, c.Image, &c.Words)
	for index, w := range want {
		data := []byte{}
		for _, p := range w.pieces {
			b, err := image.chunk(piece{p.Index, p.Off, p.Len})
			if err != nil {
				return put, lost, err
			}
			if int64(len(b)) != p.Len {
				lost++
				continue
			}
			if end := p.Off + p.Len; int64(len(data)) < end {
				data = append(data, make([]byte, end-int64(len(data)))...)
			}
			put += copy(data[p.Off:], b) / max(1, len(b))
		}
		if len(data) > 0 {
			if err := g.o.Put(index, w.term, data); err != nil {
				return put, lost, err
			}
		}
	}
	return put, lost, nil
}

func keysOf(m map[rookery.LogIndex]*wanted) []rookery.LogIndex {
	all := make([]rookery.LogIndex, 0, len(m))
	for k := range m {
		all = append(all, k)
	}
	return all
}

// fromPack is an entry's data whose body a pack holds by now.
func (g *groupReader) fromPack(ctx context.Context, e *archive.Entry) ([]byte, error) {
	data := append(slices.Clone(e.Head), make([]byte, e.PayloadLen)...)
	in, err := g.o.Live.Get(ctx, pack.Key(g.o.Group, e.Pack), e.Off, e.PayloadLen)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	if _, err := io.ReadFull(in, data[len(e.Head):]); err != nil {
		return nil, rookery.E("read body", rookery.KindOf(err), err)
	}
	return data, nil
}

// restorer is whose commands Group writes.
const restorer rookery.NodeID = "restore"

// moveOn has the group be at the entry before next, with the configuration: no number of
// the lost future is given again. Its archive is ended, and begins anew with an image.
func (g *groupReader) moveOn(next rookery.LogIndex) error {
	at := max(g.last.Time, g.o.State.Time()) + 1
	term := max(1, g.last.Term)
	data := state.Wrap(state.Header{Node: restorer, Epoch: 1, Seq: 1, Low: 1, Time: at}, command.Encode(&command.Archived{End: true}))
	results, err := g.o.State.Replay([]state.Replayed{{Entry: rookery.Entry{Index: next - 2, Term: term, Data: data}, Time: at}})
	if err == nil {
		err = state.ResultError("go on", results[0])
	}
	if err == nil {
		g.o.State.Apply([]rookery.Entry{{Index: next - 1, Term: term, Configuration: g.o.Configuration}})
	}
	return err
}
