package log

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
)

// wantNothing checks that nothing of a group is found.
func wantNothing(t *testing.T, g *Group, last uint64) {
	t.Helper()
	wantRange(t, g, 0, 0)
	for i := uint64(1); i <= last; i++ {
		if g.Has(rookery.LogIndex(i), 0) {
			t.Fatalf("entry %d is there", i)
		}
	}
}

// What is erased is gone, on the disk too, whatever the budget; what other
// groups have among it stays, and the term and vote do.
func TestErase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		l := open(t, fs, func(o *Options) { o.DiskBudget = 1 << 40 })
		gone, stays := group(t, l, 1), group(t, l, 2)
		if err := gone.SetUint64([]byte("CurrentTerm"), 7); err != nil {
			t.Fatal(err)
		}
		for i := uint64(0); i < 20; i++ {
			fill(t, gone, 20*i+1, 20*i+20, 1, 4000)
			fill(t, stays, i+1, i+1, 1, 100)
		}
		time.Sleep(2 * time.Second)
		before := l.Stats()
		if err := gone.Erase(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		after := l.Stats()
		if after.Bytes > before.Bytes/4 || after.Segments > 8 {
			t.Errorf("%d bytes in %d segments were %d in %d", after.Bytes, after.Segments, before.Bytes, before.Segments)
		}
		for range 2 {
			wantNothing(t, gone, 400)
			wantEntries(t, stays, 1, 20, 1, 100)
			if v, err := gone.GetUint64([]byte("CurrentTerm")); v != 7 || err != nil {
				t.Errorf("term %d, %v", v, err)
			}
			l.Close()
			l = open(t, fs)
			gone, stays = group(t, l, 1), group(t, l, 2)
		}
		// It comes back, below where it was.
		fill(t, gone, 300, 320, 2, 500)
		wantEntries(t, gone, 300, 320, 2, 500)
		l.Close()
		l = open(t, fs)
		gone = group(t, l, 1)
		wantEntries(t, gone, 300, 320, 2, 500)
		if gone.Has(299, 0) || gone.Has(310, 1) {
			t.Error("entries of the life before are there")
		}
		l.Close()
	})
}

// Bodies outside the range are given up too, and by a second Erase after a
// start, which does not know of the first.
func TestEraseGivesUpBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		budget := func(o *Options) { o.DiskBudget = 4 * testSegment }
		l := open(t, fs, budget)
		g, other := group(t, l, 1), group(t, l, 2)
		for i := rookery.LogIndex(1); i <= 60; i++ {
			if err := g.PutBody(i, 1, make([]byte, 4000)); err != nil {
				t.Fatal(err)
			}
		}
		fill(t, other, 1, 30, 1, 4000)
		time.Sleep(2 * time.Second)
		for range 3 {
			if err := g.Erase(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			if n := l.Stats().Groups[1].LiveBytes; n != 0 {
				t.Errorf("%d bytes of it count as live", n)
			}
			if s := l.Stats(); s.Segments > 7 {
				t.Errorf("%+v", s)
			}
			wantEntries(t, other, 1, 30, 1, 4000)
			l.Close()
			l = open(t, fs, budget)
			g, other = group(t, l, 1), group(t, l, 2)
		}
		if g.keep(false) == math.MaxUint64 {
			t.Error("a start knows of the erasure: the second call proves nothing")
		}
		l.Close()
	})
}
