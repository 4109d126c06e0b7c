package log

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"rookery"
)

// Random operations on the log and on Raft's in-memory store must agree. The
// store deletes a prefix at once; here that only permits, so the comparison
// is from the model's first entry on.
func TestModel(t *testing.T) {
	seeds := uint64(12)
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		modelRun(t, seed)
	}
}

func modelRun(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 3))
	fs := vfs.NewMem()
	budget := func(o *Options) { o.DiskBudget, o.CacheBytes = 4*testSegment, 20_000 }
	l := open(t, fs, budget)
	const groups = 3
	models := map[rookery.GroupID]*raft.InmemStore{}
	for id := range rookery.GroupID(groups) {
		models[id+1] = raft.NewInmemStore()
		group(t, l, id+1)
	}
	term := uint64(1)
	for step := range 400 {
		id := rookery.GroupID(1 + rng.IntN(groups))
		g, m := group(t, l, id), models[id]
		last, _ := m.LastIndex()
		first, _ := m.FirstIndex()
		switch n := rng.IntN(30); {
		case n < 16:
			from := last + 1
			if last == 0 {
				from = 1 + rng.Uint64N(1000)
			}
			var es []*raft.Log
			for i := range 1 + rng.Uint64N(6) {
				es = append(es, entry(from+i, term, rng.IntN(6000)))
			}
			if err := g.StoreLogs(es); err != nil {
				t.Fatal(seed, step, err)
			}
			_ = m.StoreLogs(es)
		case n < 19 && last > first+2:
			lo := last - rng.Uint64N(min(6, last-first))
			term++
			deleteBoth(t, g, m, lo, last)
		case n < 23 && last > first+2:
			hi := first + rng.Uint64N(last-first)
			deleteBoth(t, g, m, first, hi)
			g.keepFrom(rookery.LogIndex(hi + 1))
			l.kickKeeper()
		case n < 24 && last > 0:
			if f, _ := g.FirstIndex(); f <= first { // else the range is whole only for the log
				deleteBoth(t, g, m, 1, last)
			}
		case n < 25:
			term++
			_ = g.SetUint64([]byte("CurrentTerm"), term)
			_ = m.SetUint64([]byte("CurrentTerm"), term)
		case n < 27:
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = open(t, fs, budget)
			g = group(t, l, id)
		}
		compare(t, g, m)
	}
	for id, m := range models {
		compare(t, group(t, l, id), m)
	}
	l.Close()
}

func deleteBoth(t *testing.T, g *Group, m *raft.InmemStore, lo, hi uint64) {
	t.Helper()
	if err := g.DeleteRange(lo, hi); err != nil {
		t.Fatal(err)
	}
	_ = m.DeleteRange(lo, hi)
}

func compare(t *testing.T, g *Group, m *raft.InmemStore) {
	t.Helper()
	mf, _ := m.FirstIndex()
	ml, _ := m.LastIndex()
	gf, _ := g.FirstIndex()
	gl, _ := g.LastIndex()
	if gl != ml || ml > 0 && (gf > mf || gf == 0) || ml == 0 && gf != 0 {
		t.Fatalf("range %d to %d, the model has %d to %d", gf, gl, mf, ml)
	}
	for i := max(mf, 1); i <= ml; i++ {
		var a, b raft.Log
		if err := g.GetLog(i, &a); err != nil {
			t.Fatal(err)
		}
		_ = m.GetLog(i, &b)
		if a.Term != b.Term || !bytes.Equal(a.Data, b.Data) || !a.AppendedAt.Equal(b.AppendedAt) {
			t.Fatalf("entry %d differs", i)
		}
	}
	x, _ := g.GetUint64([]byte("CurrentTerm"))
	y, _ := m.GetUint64([]byte("CurrentTerm"))
	if x != y {
		t.Fatalf("term %d, the model has %d", x, y)
	}
}
