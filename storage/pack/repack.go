package pack

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"rookery"
	"rookery/storage/mailbox"
)

// Repack says which packs are rewritten.
type Repack struct {
	// Below is the percentage of live bytes below which a pack is rewritten,
	// After its age. 0 rewrites none.
	Below int
	After time.Duration
	// Merge is the age at which small packs are merged into larger ones; 0 is
	// never.
	Merge time.Duration
}

// Small packs are merged sixteen at a time with others of their size, so that
// a byte is rewritten once for every sixteenfold growth of its pack and no
// more: four times at most on its way into a pack of full size.
const mergeFan = 16

// Bounds of one rewriting: packs read and their bytes.
const (
	maxRewrite      = 256
	maxRewriteBytes = 8 // times the size of a pack
	maxCandidates   = 4096
)

// ailing is for how many of the longest pauses after a failure nothing is
// rewritten: five minutes.
const ailing = 20

// chores are the packs that a sweep found to be worth rewriting.
type chores struct {
	worn  []mailbox.Pack   // mostly dead
	small [][]mailbox.Pack // by tier
}

// tier is how often a pack must be merged to be of full size, 0 for those that
// are: half of MaxPack or more.
func (p *Packer) tier(live int64) (t int) {
	for s := max(live, 1); s < p.o.MaxPack/2; s *= mergeFan {
		t++
	}
	return t
}

// consider notes a live pack that is worth rewriting.
func (p *Packer) consider(c *chores, k mailbox.Pack, now time.Time) {
	if k.LiveBodies == 0 || p.shunned[k.ID] {
		return
	}
	r, age := p.o.Repack(), now.Sub(time.Unix(0, k.Created))
	if k.Live*100 < k.Total*int64(r.Below) && age >= r.After {
		if c.worn = append(c.worn, k); len(c.worn) > 2*maxCandidates {
			c.sort()
		}
		return
	}
	t := p.tier(k.Live)
	if t == 0 || r.Merge <= 0 || age < r.Merge {
		return
	}
	for len(c.small) < t {
		c.small = append(c.small, nil)
	}
	if len(c.small[t-1]) < maxCandidates { // the oldest: ids sort by age
		c.small[t-1] = append(c.small[t-1], k)
	}
}

// sort brings the worst packs to the front, those with the smallest share of
// live bytes, and drops what is too many for now.
func (c *chores) sort() {
	slices.SortStableFunc(c.worn, func(a, b mailbox.Pack) int {
		return cmp.Compare(float64(a.Live)/float64(a.Total), float64(b.Live)/float64(b.Total))
	})
	c.worn = c.worn[:min(len(c.worn), maxCandidates)]
}

// next takes the packs of the next rewriting: the worst ones first, then full
// sets of small ones.
func (c *chores) next(maxPack int64) (batch []mailbox.Pack) {
	if batch, c.worn = take(c.worn, maxPack); len(batch) > 0 {
		return batch
	}
	for t := range c.small {
		set, rest := take(c.small[t], maxPack)
		if len(set) < 2 || len(set) < mergeFan && len(rest) == 0 {
			continue
		}
		c.small[t] = rest
		return set
	}
	return nil
}

// take splits off as many packs as fill one.
func take(packs []mailbox.Pack, maxPack int64) (batch, rest []mailbox.Pack) {
	var live, size, bodies int64
	for i, k := range packs {
		live, size, bodies = live+k.Live, size+k.Size, bodies+int64(k.LiveBodies)
		if i > 0 && (live > maxPack || size > maxRewriteBytes*maxPack || bodies > MaxBodies/4 || i == maxRewrite) {
			return packs[:i], packs[i:]
		}
	}
	return packs, nil
}

// repack rewrites one set of packs, where there is one, the store is well, live
// mail does not wait and the budget allows it. It returns how long to wait
// before the next.
func (p *Packer) repack(ctx context.Context) time.Duration {
	if p.due == nil && p.chores != nil {
		if p.due = p.chores.next(p.o.MaxPack); p.due == nil {
			p.chores = nil
		}
	}
	switch {
	case p.due == nil:
		return p.o.SweepEvery
	case p.ails() || p.pending.Load() >= p.o.MaxPack:
		return p.o.RetryMax
	}
	var cost int64
	for _, k := range p.due {
		cost += k.Size + 2*k.Live // read, written, read back
	}
	if wait, ok := p.o.Budget.take(cost); !ok {
		return wait
	}
	batch := p.due
	p.due = nil
	p.rewrite(ctx, batch)
	return 0
}

// ails reports whether the store or the group has failed lately.
func (p *Packer) ails() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.failedAt.IsZero() && time.Since(p.failedAt) < ailing*p.o.RetryMax
}

// rewrite moves what lives in some packs to a new one. The old ones have no
// live body then and die at the next sweep. A crash at any step leaves the
// bodies where they were, and at most an object nobody points to.
func (p *Packer) rewrite(ctx context.Context, batch []mailbox.Pack) {
	var live int64
	for _, k := range batch {
		live += k.Live + 128*int64(k.LiveBodies)
	}
	id := NewID(p.o.Clock())
	w := NewWriter(p.o.Group, id, int(live))
	for _, k := range batch {
		if err := p.salvage(ctx, k, w); err != nil {
			if ctx.Err() == nil && rookery.Is(err, rookery.KindDamaged) {
				p.shunned[k.ID] = true // not again by this packer: check and mend are the operator's
				p.o.Logger.Error("a pack cannot be rewritten; rookery storage check says what is wrong with it", "group", p.o.Group, "pack",
					k.ID, "error", err)
				continue
			}
			if ctx.Err() == nil {
				p.setback("cannot read a pack to rewrite it", err)
			}
			return
		}
	}
	if len(w.Entries()) == 0 || ctx.Err() != nil {
		return
	}
	s := sealedIn(id, w)
	if _, err := p.attempt(ctx, s); err != nil {
		// It was proposed to nobody: its object may go, should it be there.
		if ctx.Err() == nil {
			p.setback("cannot store a rewritten pack", err)
			p.o.Store.Delete(ctx, Key(p.o.Group, id))
		}
		return
	}
	if err := p.commit(ctx, s); err != nil {
		if ctx.Err() == nil {
			p.setback("the group refuses a rewritten pack", err)
		}
		return
	}
	p.mu.Lock()
	p.stats.Rewritten += uint64(len(batch))
	p.stats.RewrittenBytes += s.size
	p.mu.Unlock()
	p.o.Logger.Debug("packs rewritten", "group", p.o.Group, "packs", len(batch), "pack", id, "bodies", len(s.entries), "bytes", s.size)
}

// salvage adds the live bodies of a pack to a new one. Each is checked against
// the digest in the footer; one that fails it stays where it is, and the
// others go.
func (p *Packer) salvage(ctx context.Context, k mailbox.Pack, w *Writer) error {
	object, err := p.whole(ctx, k)
	if err != nil {
		return err
	}
	x, err := parseEnds(object, object, int64(len(object)))
	if err != nil {
		return err
	}
	if x.Group != p.o.Group || x.ID != k.ID {
		return damaged("it says it is pack %s of group %d", x.ID, x.Group)
	}
	var bad error
	for _, e := range x.Entries {
		b, err := p.o.Source.Body(e.Body)
		if rookery.Is(err, rookery.KindNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if len(b.Pack) != 1 || b.Pack[0] != (mailbox.PackPiece{Pack: k.ID, Off: e.Off, Len: e.Len}) {
			continue // it lies elsewhere by now
		}
		if sha256.Sum256(object[e.Off:e.Off+e.Len]) != e.SHA256 {
			bad = errors.Join(bad, damaged("body %d fails its digest", e.Body))
			continue
		}
		if err := w.Add(e.Body, e.Layout, e.Len, func(q []byte, off int64) error {
			copy(q, object[e.Off+off:])
			return nil
		}); err != nil {
			return err
		}
	}
	return bad
}

// whole reads a pack in one request.
func (p *Packer) whole(ctx context.Context, k mailbox.Pack) ([]byte, error) {
	key := Key(p.o.Group, k.ID)
	if limit := 2*p.o.MaxPack + MaxFooter; k.Size > limit {
		return nil, damaged("%s has %d bytes, no pack that is rewritten has", key, k.Size)
	}
	ctx, cancel := context.WithTimeout(ctx, p.patience(k.Size))
	defer cancel()
	r, err := p.o.Store.Get(ctx, key, 0, k.Size)
	if rookery.Is(err, rookery.KindNotFound) {
		return nil, damaged("%s is missing in the object store", key)
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	object := make([]byte, k.Size)
	if _, err := io.ReadFull(r, object); err != nil {
		kind := rookery.KindOf(err)
		if kind == rookery.KindUnknown {
			kind = rookery.KindUnavailable
		}
		return nil, rookery.E("read pack", kind, fmt.Errorf("%s: %w", key, err))
	}
	return object, nil
}
