package pack_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"rookery"
	"rookery/storage/account/accounttest"
	"rookery/storage/blob"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
)

// rewrites lets the rig's packer rewrite without limit and delete at once.
func (r *rig) rewrites(what pack.Repack) {
	r.opts.Repack = func() pack.Repack { return what }
	r.opts.Budget = pack.NewBudget(1 << 50)
	r.opts.Deletable = func(context.Context, mailbox.Pack) (bool, error) { return true, nil }
}

// one delivers so that each message gets a pack of its own.
func (r *rig) one(sizes ...int) {
	r.t.Helper()
	for _, n := range sizes {
		r.deliver(n)
		_, stop := r.start()
		r.untilPacked()
		stop()
	}
}

func TestWornPacksAreRewritten(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	r.deliver(9000, 9000, 9000, 9000, 9000, 9000, 9000, 9000, 9000, 9000, 90_000)
	_, stop := r.start()
	r.untilPacked()
	stop()
	r.dropLog()
	before := r.packs()
	r.rewrites(pack.Repack{Below: 60, After: 24 * time.Hour})
	r.purge(1, 2, 3, 4)
	p, stop := r.start()
	r.until("the packer has looked", func() bool { return p.Stats().Deleted == 0 && len(r.packs()) == len(before) })
	r.ahead.Store(int64(23 * time.Hour))
	r.purge(5)
	if n := p.Stats().Rewritten; n > 0 {
		t.Errorf("%d packs of less than a day were rewritten", n)
	}
	r.ahead.Store(int64(25 * time.Hour))
	r.until("the worn pack is rewritten", func() bool { return p.Stats().Rewritten > 0 })
	r.until("its object is gone", func() bool { return p.Stats().Deleted > 0 })
	stop()
	r.check()
	live := map[string]int{}
	for _, x := range r.objects() {
		for _, e := range x.Entries {
			live[string(x.ID)]++
			b, err := r.node.Machine(group).Body(e.Body)
			if err == nil && (len(b.Pack) != 1 || b.Pack[0].Pack != x.ID) {
				t.Errorf("body %d lies in %v and in %s", e.Body, b.Pack, x.ID)
			}
		}
	}
	if len(live) != len(before) {
		t.Errorf("%d objects, want %d", len(live), len(before))
	}
}

// Nothing is rewritten while the store fails, and it goes on afterwards.
func TestNothingIsRewrittenWhileTheStoreAils(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	r.one(9000, 9000)
	r.dropLog()
	r.rewrites(pack.Repack{Merge: time.Hour})
	r.ahead.Store(int64(2 * time.Hour))
	r.blobs.set(func(f *faulty) { f.put = func(func() error) error { return errFault } })
	var gets atomic.Int32
	r.blobs.set(func(f *faulty) {
		f.get = func(do func() (io.ReadCloser, error)) (io.ReadCloser, error) { gets.Add(1); return do() }
	})
	r.one2(t, 15)
	if gets.Load() > 0 {
		t.Errorf("%d reads of old packs during the outage", gets.Load())
	}
	r.blobs.set(func(f *faulty) { f.put = nil })
	r.untilPacked()
	r.check()
}

// one2 delivers while the packer cannot store anything.
func (r *rig) one2(t *testing.T, n int) {
	t.Helper()
	for range n {
		r.deliver(5000)
	}
	p, _ := r.start()
	r.until("the outage was met several times", func() bool { return p.Stats().Failures > 10 })
}

// A rewriting that cannot be stored leaves everything as it was, and no object.
func TestRewritingThatFails(t *testing.T) {
	for name, fault := range map[string]func(n int, do func() error) error{
		"refused":      func(_ int, do func() error) error { return errFault },
		"answer lost":  func(_ int, do func() error) error { do(); return errFault },
		"garbled once": nil,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, accounttest.Options{})
			r.one(sixteen()...)
			r.dropLog()
			r.rewrites(pack.Repack{Merge: time.Hour})
			r.ahead.Store(int64(2 * time.Hour))
			var tries atomic.Int32
			r.blobs.set(func(f *faulty) {
				f.put = func(do func() error) error {
					if n := int(tries.Add(1)); n <= 2 && fault != nil {
						return fault(n, do)
					}
					return do()
				}
				var garbled atomic.Bool
				f.get = func(do func() (io.ReadCloser, error)) (io.ReadCloser, error) {
					rc, err := do()
					if err != nil || fault != nil || tries.Load() == 0 || garbled.Swap(true) {
						return rc, err
					}
					defer rc.Close()
					b, err := io.ReadAll(rc)
					b[len(b)/2] ^= 1
					return io.NopCloser(bytes.NewReader(b)), err
				}
			})
			p, stop := r.start()
			r.until("it went well in the end", func() bool { return p.Stats().Rewritten == 16 })
			r.until("the old ones are gone", func() bool { return p.Stats().Deleted == 16 })
			stop()
			if p.Stats().Failures == 0 {
				t.Error("nothing failed")
			}
			if n := len(r.objects()); n != 1 {
				t.Errorf("%d objects, want 1", n)
			}
			r.check()
		})
	}
}

// A body that fails its digest stays where it is; the others of its pack move.
func TestDamagedBodyIsNotMoved(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	r.deliver(9000, 9000, 9000, 9000, 9000)
	_, stop := r.start()
	r.untilPacked()
	stop()
	r.dropLog()
	x := r.objects()[0]
	key := pack.Key(group, x.ID)
	object := r.object(key)
	object[x.Entries[3].Off+100] ^= 1
	r.rewrite(key, object)
	r.purge(1, 2, 3)
	r.rewrites(pack.Repack{Below: 60, After: 24 * time.Hour})
	r.ahead.Store(int64(25 * time.Hour))
	p, stop := r.start()
	r.until("the sound one has moved", func() bool { return p.Stats().Rewritten > 0 })
	stop()
	for i, want := range map[int]bool{3: true, 4: false} {
		b, err := r.node.Machine(group).Body(x.Entries[i].Body)
		if err != nil || (b.Pack[0].Pack == x.ID) != want {
			t.Errorf("body %d: %+v %v", i, b.Pack, err)
		}
	}
}

func TestMissingPackIsLeftAlone(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	r.deliver(9000, 9000, 9000, 9000, 9000)
	_, stop := r.start()
	r.untilPacked()
	stop()
	x := r.objects()[0]
	if err := r.blobs.Store.Delete(t.Context(), pack.Key(group, x.ID)); err != nil {
		t.Fatal(err)
	}
	r.purge(1, 2, 3)
	r.rewrites(pack.Repack{Below: 60, After: 24 * time.Hour})
	r.ahead.Store(int64(25 * time.Hour))
	var gets atomic.Int32
	r.blobs.set(func(f *faulty) {
		f.get = func(do func() (io.ReadCloser, error)) (io.ReadCloser, error) { gets.Add(1); return do() }
	})
	_, stop = r.start()
	r.until("it was tried", func() bool { return gets.Load() > 0 })
	r.deliver(100)
	r.untilPacked() // and nothing else suffers
	stop()
	if b, err := r.node.Machine(group).Body(x.Entries[4].Body); err != nil || b.Pack[0].Pack != x.ID {
		t.Errorf("%+v %v", b.Pack, err)
	}
}

// Without the group's word on how long names are good for nothing is rewritten.
func TestNothingIsRewrittenBeforeNamesExpire(t *testing.T) {
	r := newRig(t, accounttest.Options{Before: func(_ rookery.GroupID, c command.Command) error {
		if _, ok := c.(*command.NamePacks); ok {
			return rookery.E("test", rookery.KindUnavailable, errors.New("version 3 is final"))
		}
		return nil
	}})
	r.one(sixteen()...)
	r.rewrites(pack.Repack{Merge: time.Hour})
	r.ahead.Store(int64(2 * time.Hour))
	p, stop := r.start()
	r.deliver(10)
	r.untilPacked()
	r.deliver(10)
	r.untilPacked()
	stop()
	if s := p.Stats(); s.Rewritten > 0 || s.Failures > 0 {
		t.Errorf("%+v", s)
	}
}

func sixteen() (sizes []int) {
	for i := range 16 {
		sizes = append(sizes, 400+i)
	}
	return sizes
}

// TestQuietSite: a message a minute for hours, each alone in its pack after 8 s.
func TestQuietSite(t *testing.T) {
	quiet(t, *quietHours, pack.Repack{Below: 60, After: 24 * time.Hour, Merge: time.Hour})
}

// Such a day leaves one object a message where small packs are not merged.
func TestQuietSiteUnmerged(t *testing.T) {
	if *quietHours < 24 {
		t.Skip("for comparison, with -quiet=24")
	}
	quiet(t, *quietHours, pack.Repack{})
}

var quietHours = flag.Int("quiet", 4, "simulated hours of a quiet site")

func quiet(t *testing.T, hours int, what pack.Repack) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, accounttest.Options{})
		r.opts.MaxPack, r.opts.Large, r.opts.MaxAge, r.opts.SweepEvery, r.opts.RetryMax = 0, 0, 0, 0, 0
		r.opts.Packed = nil
		r.rewrites(what)
		r.opts.Budget = pack.NewBudget(4 << 30)
		r.opts.Deletable = func(_ context.Context, k mailbox.Pack) (bool, error) {
			return r.clock().Sub(time.Unix(0, k.Dead)) > time.Hour, nil
		}
		counted := &counter{Store: r.blobs}
		r.opts.Store = counted
		p, stop := r.start()
		for range hours * 60 {
			r.deliver(6000)
			time.Sleep(time.Minute)
		}
		s := p.Stats()
		stop()
		objects, bytes := 0, int64(0)
		r.blobs.List(t.Context(), "", func(i blob.Info) error { objects++; bytes += i.Size; return nil })
		live := 0
		for _, k := range r.packs() {
			if k.State == mailbox.PackLive {
				live++
			}
		}
		t.Logf("%d messages of 6 KB in %d hours: %d objects of %.1f MB at its end, %d of them live; %d packs sealed, %d rewritten "+
			"into %.1f MB; %d PUT, %d GET, %d DELETE",
			hours*60, hours, objects, float64(bytes)/1e6, live, s.Packs, s.Rewritten, float64(s.RewrittenBytes)/1e6, counted.puts.Load(),
			counted.gets.Load(), counted.deletes.Load())
		if what.Merge > 0 && objects > 250 {
			t.Errorf("%d objects", objects)
		}
		r.dropLog()
		r.check()
	})
}

type counter struct {
	blob.Store
	puts, gets, deletes atomic.Int64
}

func (c *counter) Put(ctx context.Context, key string, r io.Reader, size int64, o blob.PutOptions) error {
	c.puts.Add(1)
	return c.Store.Put(ctx, key, r, size, o)
}

func (c *counter) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	c.gets.Add(1)
	return c.Store.Get(ctx, key, off, n)
}

func (c *counter) Delete(ctx context.Context, keys ...string) error {
	c.deletes.Add(1)
	return c.Store.Delete(ctx, keys...)
}
