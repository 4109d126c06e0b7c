package pack_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"testing"
	"time"

	"rookery"
	"rookery/storage/account/accounttest"
	"rookery/storage/blob"
	"rookery/storage/pack"
	"rookery/storage/pack/check"
	"rookery/storage/pack/read"
)

// lying is a store that tells sizes as it likes.
type lying struct {
	blob.Store
	size int64
}

func (l lying) Stat(ctx context.Context, key string) (blob.Info, error) {
	i, err := l.Store.Stat(ctx, key)
	i.Size = l.size
	return i, err
}

func (l lying) List(ctx context.Context, prefix string, fn func(blob.Info) error) error {
	return l.Store.List(ctx, prefix, func(i blob.Info) error { i.Size = l.size; return fn(i) })
}

// Sizes that cannot be end no node and are not believed.
func TestSizesThatLie(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	r.deliver(2000, 300_000)
	_, stop := r.start()
	r.untilPacked()
	stop()
	xs := r.objects()
	for _, size := range []int64{math.MinInt64, -1, 0, 1, 23, 24, 1 << 30, math.MaxInt64} {
		s := lying{r.blobs.Store, size}
		if _, err := pack.Verify(t.Context(), s, pack.Key(group, xs[0].ID)); err == nil {
			t.Errorf("a pack of %d bytes is sound", size)
		}
		n := 0
		if err := check.Rebuild(t.Context(), s, func(x check.Rebuilt) error {
			if n++; x.Err == nil {
				t.Errorf("a pack of %d bytes has an index", size)
			}
			return nil
		}); err != nil || n != len(xs) {
			t.Errorf("%d packs of %d bytes: %v", n, size, err)
		}
	}
}

// endless gives bytes for ever, dribble none until the request ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }
func (endless) Close() error               { return nil }

type dribble struct{ ctx context.Context }

func (d dribble) Read([]byte) (int, error) { <-d.ctx.Done(); return 0, d.ctx.Err() }
func (dribble) Close() error               { return nil }

// hostile gives what read makes in place of objects.
type hostile struct {
	blob.Store
	read func(ctx context.Context) io.ReadCloser
}

func (h hostile) Get(ctx context.Context, _ string, _, _ int64) (io.ReadCloser, error) {
	return h.read(ctx), nil
}

// A store that gives no end, or nothing, does not stop the packer without a
// word, and what was not read back is not packed.
func TestReadingBackEnds(t *testing.T) {
	for name, read := range map[string]func(context.Context) io.ReadCloser{
		"endless":   func(context.Context) io.ReadCloser { return endless{} },
		"dribbling": func(ctx context.Context) io.ReadCloser { return dribble{ctx} },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, accounttest.Options{})
			r.opts.Store, r.opts.Patience = hostile{r.blobs, read}, 20*time.Millisecond
			p, stop := r.start()
			r.deliver(2000, 300_000)
			r.until("the packer has met the fault several times", func() bool { return p.Stats().Failures > 2 })
			stop()
			if s := p.Stats(); s.Packs != 0 || s.LastError == "" {
				t.Errorf("%+v", s)
			}
			r.opts.Store = r.blobs
			_, stop = r.start()
			r.untilPacked()
			stop()
			r.dropLog()
			r.check()
		})
	}
}

// Objects of one group and of like form under each other's names are neither
// read as mail nor taken for sound.
func TestSwappedObjects(t *testing.T) {
	r, o := damagedRig(t, nil)
	r.deliver(3000, 5000)
	o.keep()
	_, stop := r.start()
	r.untilPacked()
	stop()
	r.dropLog()
	xs := r.objects()
	if len(xs) < 3 {
		t.Fatalf("%d packs", len(xs))
	}
	all := make([][]byte, len(xs))
	for i, x := range xs {
		all[i] = r.object(pack.Key(group, x.ID))
	}
	for i, x := range xs {
		r.rewrite(pack.Key(group, x.ID), all[(i+1)%len(xs)])
	}
	r.check() // from the other log
	found, _, c := r.faults()
	if n := len(c.Needed()); n != len(r.sent) {
		t.Errorf("%d of %d bodies are found astray: %+v", n, len(r.sent), found)
	}
	clear(o.kept)
	v, err := r.a.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for uid := range r.sent {
		row, err := v.Row(r.inbox(), uid)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := r.read(v, row); !rookery.Is(err, rookery.KindDamaged) {
			t.Errorf("message %d: %d bytes, %v", uid, len(b), err)
		}
	}
}

// While a node that may have a copy does not answer, nothing is said to be
// damaged for good; when it does, the message is read.
func TestDamageInDoubtIsTemporary(t *testing.T) {
	for name, plant := range map[string]func(r *rig){
		"garbled": (*rig).garble,
		"missing": func(r *rig) {
			for _, x := range r.objects() {
				if err := r.blobs.Delete(r.t.Context(), pack.Key(group, x.ID)); err != nil {
					r.t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, o := damagedRig(t, nil)
			plant(r)
			o.away = rookery.E("test", rookery.KindUnavailable, errors.New("the other node is down"))
			v, err := r.a.View()
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			for uid := rookery.UID(1); uid <= 3; uid++ {
				row, err := v.Row(r.inbox(), uid)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := r.read(v, row); !rookery.Is(err, rookery.KindUnavailable) {
					t.Errorf("message %d: %v", uid, err)
				}
			}
			if s := r.node.Bodies.Stats(); s.Lost != 0 {
				t.Errorf("%+v", s)
			}
			o.away = nil
			r.check()
		})
	}
}

// The store is away while the cache holds bytes that were garbled on their way:
// the answer is temporary, for the store has the message.
func TestGarbledCacheAndStoreAway(t *testing.T) {
	cache, err := read.OpenCache(t.TempDir(), 64<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, o := damagedRig(t, cache)
	clear(o.kept)
	gets := 0
	r.blobs.set(func(f *faulty) {
		f.get = func(do func() (io.ReadCloser, error)) (io.ReadCloser, error) {
			if gets++; gets > 1 {
				return nil, errFault
			}
			rc, err := do()
			return &garbler{rc}, err
		}
	})
	v, err := r.a.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	row, err := v.Row(r.inbox(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.read(v, row); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("read: %v", err)
	}
	r.blobs.set(func(f *faulty) { f.get = nil })
	if b, err := r.read(v, row); err != nil || !bytes.Equal(b, r.sent[1]) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}
