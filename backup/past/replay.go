package past

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"rookery"
	"rookery/backup/archive"
	"rookery/backup/sealed"
	"rookery/storage/command"
	"rookery/storage/state"
)

// opened is a segment with its footer.
type opened struct {
	r     *sealed.Reader
	words archive.SegmentWords
	taken map[int]bool // frames whose entries have been looked at
}

// replay applies what the segments have of the account up to the time.
func (p *Past) replay(ctx context.Context) error {
	all, err := p.openSegments(ctx)
	if err != nil {
		return err
	}
	f := &feed{p: p, ctx: ctx, stages: map[string]bool{}, chunks: map[string]bool{}}
	for _, s := range all {
		for n := range s.words.Frames {
			if s.words.Frames[n].Concerns(p.o.Account) {
				if err := f.take(s, n); err != nil {
					return err
				}
			}
		}
	}
	if err := f.staged(all); err != nil {
		return err
	}
	return f.apply()
}

// atOnce bounds the requests to the store at one time.
const atOnce = 16

// openSegments reads the footers of all segments.
func (p *Past) openSegments(ctx context.Context) ([]*opened, error) {
	all := make([]*opened, len(p.chain.Segments))
	g, ctx2 := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, s := range p.chain.Segments {
		g.Go(func() error {
			r, err := p.o.Archive.Open(ctx2, sealed.Segment, s.Key(), s.Size)
			if err != nil {
				return err
			}
			o := &opened{r: r, taken: map[int]bool{}}
			all[i] = o
			if err := r.Words(&o.words); err != nil {
				return err
			}
			if len(o.words.Frames) != r.Frames() {
				return rookery.E("read "+s.Key(), rookery.KindDamaged, fmt.Errorf("it lists %d frames and has %d", len(o.words.Frames), r.Frames()))
			}
			return nil
		})
	}
	return all, g.Wait()
}

// feed collects what is replayed, bodies apart.
type feed struct {
	p       *Past
	ctx     context.Context
	entries []archive.Entry // without payloads
	// stages are those that bodies of the account were taken from; chunks says which
	// were collected.
	stages map[string]bool
	chunks map[string]bool
}

// take looks at a frame: the account's entries, or chunks of the stages looked for.
func (f *feed) take(s *opened, n int) error {
	if s.taken[n] {
		return nil
	}
	s.taken[n] = true
	b, err := s.r.Frame(f.ctx, n)
	if err != nil {
		return err
	}
	return archive.Entries(b, func(e *archive.Entry) error {
		if e.Time > f.p.o.At || e.Index <= f.p.chain.Image.Index {
			return nil
		}
		c, err := decode(e)
		if err != nil {
			return err
		}
		if s, is := c.(*command.Stage); is && f.stages[archive.StageName(s.Stage)] || c.Touches().Touches(f.p.o.Account) {
			f.note(c)
			return f.keep(e)
		}
		return nil
	})
}

// decode reads an entry's command, without its payload.
func decode(e *archive.Entry) (command.Command, error) {
	_, offset, err := state.Unwrap(e.Head)
	if err != nil {
		return nil, err
	}
	c, _, err := command.Decode(e.Head[offset:])
	return c, err
}

// note learns which stage a command takes its body from.
func (f *feed) note(c command.Command) {
	var s *command.Staged
	switch c := c.(type) {
	case *command.Deliver:
		s = c.Staged
	case *command.ImportBody:
		s = c.Staged
	case *command.Restore:
		s = c.Staged
	}
	if s != nil {
		f.stages[archive.StageName(s.Stage)] = true
	}
}

func (f *feed) keep(e *archive.Entry) error {
	if e.PayloadLen > 0 {
		at := piece{e.Index, int64(len(e.Head)), e.PayloadLen}
		if err := f.p.bodies.keep(at, place{e.Pack, e.Off}, e.Payload); err != nil {
			return err
		}
	}
	e.Head, e.Payload = slices.Clone(e.Head), nil
	f.entries = append(f.entries, *e)
	return nil
}

// staged collects the chunks of bodies that were taken from stages, from frames that
// have nothing else of the account, and from those that were looked at before it was
// known.
func (f *feed) staged(all []*opened) error {
	if len(f.stages) == 0 {
		return nil
	}
	have := map[rookery.LogIndex]bool{}
	for i := range f.entries {
		have[f.entries[i].Index] = true
	}
	for _, s := range all {
		for n := range s.words.Frames {
			if !slices.ContainsFunc(s.words.Frames[n].Stages, func(name string) bool { return f.stages[name] }) {
				continue
			}
			b, err := s.r.Frame(f.ctx, n)
			if err != nil {
				return err
			}
			if err := archive.Entries(b, func(e *archive.Entry) error {
				if e.Time > f.p.o.At || e.Index <= f.p.chain.Image.Index || have[e.Index] {
					return nil
				}
				c, err := decode(e)
				if x, is := c.(*command.Stage); err == nil && is && f.stages[archive.StageName(x.Stage)] {
					have[e.Index] = true
					return f.keep(e)
				}
				return err
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// batch is how many entries are applied at once.
const batch = 128

// apply replays what was collected, in the order of the log, each entry once.
func (f *feed) apply() error {
	slices.SortStableFunc(f.entries, func(a, b archive.Entry) int { return cmp.Compare(a.Index, b.Index) })
	f.entries = slices.CompactFunc(f.entries, func(a, b archive.Entry) bool { return a.Index == b.Index })
	for len(f.entries) > 0 {
		n, bytes := 0, int64(0)
		var some []state.Replayed
		for n < len(f.entries) && n < batch && bytes < 8<<20 {
			e := &f.entries[n]
			data := append(slices.Clone(e.Head), make([]byte, e.PayloadLen)...) // of a body only its size counts
			some = append(some, state.Replayed{Entry: rookery.Entry{Index: e.Index, Term: e.Term, Data: data}, Time: e.Time})
			bytes += int64(len(data))
			n++
		}
		results, err := f.p.group.Replay(some)
		if err != nil {
			return err
		}
		for i, out := range results {
			if err := state.ResultError("replay", out); err != nil {
				return rookery.E("replay", rookery.KindDamaged, fmt.Errorf("entry %d was executed then, and is refused now: %w", some[i].Index, err))
			}
		}
		f.entries = f.entries[n:]
	}
	return f.ctx.Err()
}
