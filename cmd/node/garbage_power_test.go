package node

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/settings"
	"rookery/storage/blob"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
	"rookery/storage/pack/check"
)

// TestPowerCutWithGarbage is TestPowerCut while packs die, are deleted,
// rewritten, merged and swept for orphans all the time: the power goes in the
// middle of each. The object store is elsewhere and keeps what it has answered.
// In the end it holds what the groups know, all of it sound, and nothing else.
func TestPowerCutWithGarbage(t *testing.T) {
	cuts, seed := number(t, "ROOKERY_GARBAGE_CUTS", 16), uint64(number(t, "ROOKERY_SEED", int(time.Now().UnixNano()&0x7fffffff)))
	t.Logf("%d cuts, ROOKERY_SEED=%d", cuts, seed)
	c := newChain(t, seed)
	c.deps.tuning.packSweep, c.deps.tuning.packDead, c.deps.tuning.packLife = 30*time.Millisecond, time.Millisecond, time.Minute
	c.deps.Settings.Garbage = settings.Garbage{RepackBelow: 90, RepackAfter: "1m", MergeAfter: "1m", RepackRate: 1 << 20, SweepEvery: "0s"}
	var done cleared
	c.also = func(ctx context.Context, n *Node) error { return done.work(ctx, n) }
	if err := c.begin(); err != nil {
		t.Fatal(err)
	}
	c.cuts(cuts, func() bool { return done.deleted.Load() > 0 && done.rewritten.Load() > 0 })
	c.finish()
	c.judgeStore()
	t.Logf("%d packs deleted, %d rewritten, %d orphans swept", done.deleted.Load(), done.rewritten.Load(), done.orphans.Load())
}

// cleared counts what was cleared away in all lives of a node.
type cleared struct{ deleted, rewritten, orphans atomic.Int64 }

// work purges and sweeps until ctx ends.
func (d *cleared) work(ctx context.Context, n *Node) error {
	for ctx.Err() == nil {
		for _, id := range n.groups.Here() {
			if m := n.groups.Machine(id); m != nil {
				all, _ := m.Purgeable(n.deps.Clock().UnixNano(), rookery.AccountID{}, 1000)
				for _, a := range all {
					n.groups.Commit(ctx, id, &command.PurgeExpunged{Account: a, Before: n.deps.Clock().UnixNano()})
				}
			}
		}
		s, _ := n.objects.SweepOrphans(ctx, true, func(pack.Orphan) error { return nil }, func(pack.Swept) error { return nil })
		d.orphans.Add(int64(s.Deleted))
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	for _, id := range n.groups.Here() {
		s, _ := n.objects.PackStats(id)
		d.deleted.Add(int64(s.Deleted))
		d.rewritten.Add(int64(s.Rewritten))
	}
	return nil
}

// judgeStore compares the object store with the groups, once all is cleared
// away.
func (c *chain) judgeStore() {
	c.t.Helper()
	c.offset += 10 * time.Minute // names expire
	n, err := Open(c.t.Context(), c.cfg, c.deps)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), 3*time.Minute)
	defer cancel()
	err = errors.Join(n.onlyLive(ctx), n.storeIsExact(ctx), c.check(n, true), closeTest(n))
	if err != nil {
		c.t.Fatal("in the end: ", err)
	}
}

// onlyLive waits until no pack is dead or forgotten by halves.
func (n *Node) onlyLive(ctx context.Context) error {
	for {
		left := 0
		for _, m := range n.machines() {
			packs, err := m.Packs("", 100_000)
			if err != nil {
				return err
			}
			for _, p := range packs {
				if p.State != mailbox.PackLive || p.LiveBodies == 0 {
					left++
				}
			}
			waiting, _, err := m.UnpackedBytes()
			if err != nil {
				return err
			}
			left += waiting
		}
		if left == 0 {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%d packs or bodies are not cleared away", left)
		}
	}
}

// storeIsExact waits until a sweep leaves each pack that a group knows and no
// other. Small packs are merged meanwhile: a new one lies there for a moment
// before its group knows it.
func (n *Node) storeIsExact(ctx context.Context) error {
	for {
		err := n.sweptIsExact(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

func (n *Node) sweptIsExact(ctx context.Context) error {
	if _, err := n.objects.SweepOrphans(ctx, true, func(pack.Orphan) error { return nil }, func(pack.Swept) error { return nil }); err != nil {
		return err
	}
	known := map[string]bool{}
	for id, m := range n.machines() {
		packs, err := m.Packs("", 100_000)
		if err != nil {
			return err
		}
		for _, p := range packs {
			if p.State == mailbox.PackLive {
				known[pack.Key(id, p.ID)] = true
			}
		}
	}
	err := n.objects.Store.List(ctx, "b/", func(i blob.Info) error {
		if !known[i.Key] {
			return fmt.Errorf("%s is left, and no group knows it", i.Key)
		}
		delete(known, i.Key)
		return nil
	})
	err = errors.Join(err, check.Rebuild(ctx, n.objects.Store, func(r check.Rebuilt) error {
		if r.Err != nil || r.Salvaged {
			return fmt.Errorf("%s is no sound pack (salvaged: %v): %w", r.Key, r.Salvaged, r.Err)
		}
		return nil
	}))
	for key := range known {
		if _, serr := n.objects.Store.Stat(ctx, key); serr != nil {
			err = errors.Join(err, fmt.Errorf("%s is missing: %w", key, serr))
		}
	}
	return err
}
