package check

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"rookery"
	"rookery/storage/blob"
	"rookery/storage/command"
	"rookery/storage/pack"
)

// Rebuilt is what an object under the packs' prefix says of itself.
type Rebuilt struct {
	pack.Index
	Key string
	// Salvaged says that its index was damaged: Entries are those found by
	// reading the whole object, each with its digest proved.
	Salvaged bool
	// Err is why nothing could be read: KindDamaged, or the store's error.
	Err error
}

const (
	rebuildWorkers = 8
	// salvageTail is how much of the end of a large object is searched for
	// its index.
	salvageTail = 4 << 20
)

// Rebuild finds every body of every pack in a store by the packs alone: from
// their indexes, with one ranged request each, or, where an index is damaged,
// from the whole object. It needs no state and no key, and calls fn in no
// promised order, one call at a time. What fails for one pack is in its Rebuilt;
// the error is the listing's, fn's or the context's.
func Rebuild(ctx context.Context, s blob.Store, fn func(Rebuilt) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(rebuildWorkers + 1)
	found := make(chan blob.Info)
	g.Go(func() error {
		defer close(found)
		return s.List(gctx, "b/", func(i blob.Info) error {
			select {
			case found <- i:
				return nil
			case <-gctx.Done():
				return gctx.Err()
			}
		})
	})
	var mu sync.Mutex
	for range rebuildWorkers {
		g.Go(func() error {
			for i := range found {
				r, ok := rebuild(gctx, s, i)
				if !ok {
					continue // not ours
				}
				if gctx.Err() != nil {
					return gctx.Err()
				}
				mu.Lock()
				err := fn(r)
				mu.Unlock()
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func rebuild(ctx context.Context, s blob.Store, i blob.Info) (r Rebuilt, ok bool) {
	group, id, ok := pack.ParseKey(i.Key)
	if !ok {
		return r, false
	}
	r = Rebuilt{Key: i.Key, Index: pack.Index{Group: group, ID: id, Size: i.Size}}
	start := int64(pack.HeaderLen(id)) // the header says nothing that the name does not
	tail, err := pack.ReadTail(ctx, s, i.Key, i.Size)
	if err == nil {
		if r.Entries, err = pack.ParseTail(tail, start, i.Size); err == nil {
			return r, true
		}
	}
	if !rookery.Is(err, rookery.KindDamaged) {
		r.Err = err
		return r, true
	}
	r.Salvaged, r.Err = true, nil
	if r.Entries, r.Err = salvage(ctx, s, i.Key, i.Size, start); r.Err == nil && len(r.Entries) == 0 {
		r.Err = notWhole("%s: %w; no body was found in its %d bytes", i.Key, err, i.Size)
	}
	return r, true
}

// salvage looks for the index of a pack wherever it may begin, and gives the
// bodies in it that are proved by their digests.
func salvage(ctx context.Context, s blob.Store, key string, size, start int64) ([]pack.Entry, error) {
	n := size
	if size > maxWhole {
		n = salvageTail
	}
	b, err := pack.ReadRange(ctx, s, key, size-n, n)
	if err != nil {
		return nil, err
	}
	prove := func(e pack.Entry) (bool, error) {
		if n == size {
			return sha256.Sum256(b[e.Off:e.Off+e.Len]) == e.SHA256, nil
		}
		sum, _, err := pack.Digest(ctx, s, key, e.Off, e.Len)
		return sum == e.SHA256, err
	}
	// The last bytes of a body may read as part of the index's first number:
	// the beginnings right behind the first that fits are tried too.
	var best []pack.Entry
	for at, last := max(0, start-(size-n)), n; at < last; at++ {
		if !beginsIndex(b[at:], start) {
			continue
		}
		entries, err := proved(b[at:], start, size-n+at, prove)
		if err != nil {
			return best, err
		}
		if len(best) == 0 && len(entries) > 0 {
			last = min(n, at+binary.MaxVarintLen32)
		}
		if len(entries) > len(best) {
			best = entries
		}
	}
	return best, ctx.Err()
}

// beginsIndex says whether an index may begin here: its first body lies behind
// the header.
func beginsIndex(b []byte, start int64) bool {
	count, n := binary.Uvarint(b)
	if n <= 0 || count == 0 || count > pack.MaxBodies {
		return false
	}
	_, k := binary.Uvarint(b[n:])
	if k <= 0 {
		return false
	}
	off, m := binary.Uvarint(b[n+k:])
	return m > 0 && off == uint64(start)
}

// proved reads entries up to the first that makes no sense, and leaves out
// those whose bytes are others.
func proved(b []byte, start, end int64, prove func(pack.Entry) (bool, error)) (good []pack.Entry, err error) {
	pack.EachEntry(b, func(e pack.Entry) bool {
		if e.Off < start || e.Len <= 0 || e.Len > end-e.Off {
			return false
		}
		start = e.Off + e.Len
		var ok bool
		if ok, err = prove(e); err != nil {
			err = fmt.Errorf("body %d: %w", e.Body, err)
			return false
		}
		if ok {
			good = append(good, e)
		}
		return true
	})
	return good, err
}

// Places looks in a pack's index for bodies that are sought, and tells the
// Checker where they lie.
func (c *Checker) Places(r Rebuilt, sought map[command.BodyID]bool) {
	for _, e := range r.Entries {
		if sought[e.Body] {
			c.elsewhere[e.Body] = placeOf(r.ID, e)
		}
	}
}
