package raftwal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"

	"rookery"
	"rookery/cluster/log"
)

// pair is the log under test beside raft-wal, on a real disk. Only the log is
// reopened: raft-wal v0.4.0 never closes its BoltDB, and a second Open in the
// process would wait for that file's lock for ever.
type pair struct {
	t    *testing.T
	dirs [2]string
	l    *log.Log
	g    *log.Group
	w    *wal.WAL
}

func (p *pair) open() {
	p.t.Helper()
	var err error
	if p.l, err = log.Open(log.Options{Dir: p.dirs[0], SegmentSize: 256 << 10, DiskBudget: 1 << 20, Spares: 1}); err != nil {
		p.t.Fatal(err)
	}
	if p.g, err = p.l.Group(1); err != nil {
		p.t.Fatal(err)
	}
	if p.w != nil {
		return
	}
	if p.w, err = wal.Open(p.dirs[1], wal.WithSegmentSize(256<<10)); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = p.w.Close() })
}

func (p *pair) close() {
	p.t.Helper()
	if err := p.l.Close(); err != nil {
		p.t.Fatal(err)
	}
}

// compare checks raft-wal's range. Prefix deletion is only permission in the
// log under test, so its first index may be lower, never higher.
func (p *pair) compare() {
	p.t.Helper()
	wf, _ := p.w.FirstIndex()
	wl, _ := p.w.LastIndex()
	gf, _ := p.g.FirstIndex()
	gl, _ := p.g.LastIndex()
	if gl != wl || wl > 0 && (gf == 0 || gf > wf) {
		p.t.Fatalf("range %d to %d, raft-wal has %d to %d", gf, gl, wf, wl)
	}
	for i := max(wf, 1); i <= wl; i++ {
		var a, b raft.Log
		if err := p.g.GetLog(i, &a); err != nil {
			p.t.Fatal(err)
		}
		if err := p.w.GetLog(i, &b); err != nil {
			p.t.Fatal(err)
		}
		if a.Index != b.Index || a.Term != b.Term || a.Type != b.Type || !bytes.Equal(a.Data, b.Data) ||
			!bytes.Equal(a.Extensions, b.Extensions) || !a.AppendedAt.Equal(b.AppendedAt) {
			p.t.Fatalf("entry %d: %+v, raft-wal has %+v", i, a, b)
		}
	}
	for _, k := range []string{"CurrentTerm", "LastVoteTerm"} {
		a, aerr := p.g.GetUint64([]byte(k))
		b, berr := p.w.GetUint64([]byte(k))
		if a != b || (aerr == nil) != (berr == nil) {
			p.t.Fatalf("%s: %d %v, raft-wal has %d %v", k, a, aerr, b, berr)
		}
	}
	a, _ := p.g.Get([]byte("LastVoteCand"))
	b, _ := p.w.Get([]byte("LastVoteCand"))
	if !bytes.Equal(a, b) {
		p.t.Fatalf("vote %q, raft-wal has %q", a, b)
	}
}

func (p *pair) both(what string, a, b error) {
	p.t.Helper()
	if (a == nil) != (b == nil) {
		p.t.Fatalf("%s: %v, raft-wal says %v", what, a, b)
	}
}

func TestAgainstRaftWAL(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 9))
			p := &pair{t: t, dirs: [2]string{t.TempDir(), t.TempDir()}}
			p.open()
			term := uint64(1)
			for range 250 {
				p.step(rng, &term)
			}
			p.compare()
			p.close()
		})
	}
}

// step does one random thing. Cutting the tail off is compared with
// raft.InmemStore in the package itself: raft-wal v0.4.0 refuses its own next
// append after some cuts.
func (p *pair) step(rng *rand.Rand, term *uint64) {
	first, _ := p.w.FirstIndex()
	last, _ := p.w.LastIndex()
	switch n := rng.IntN(30); {
	case n < 16:
		var es []*raft.Log
		for i := range 1 + rng.Uint64N(8) {
			data := make([]byte, rng.IntN(9000))
			for k := range data {
				data[k] = byte(rng.Uint32())
			}
			es = append(es, &raft.Log{Index: last + 1 + i, Term: *term, Type: raft.LogType(rng.IntN(2)), Data: data})
		}
		p.both("store", p.g.StoreLogs(es), p.w.StoreLogs(es))
	case n < 23 && last > first+2:
		hi := first + rng.Uint64N(last-first)
		p.both("permit", p.g.DeleteRange(first, hi), p.w.DeleteRange(first, hi))
		p.both("floor", p.g.SetFloor(log.BodiesFloor, rookery.LogIndex(hi+1)), nil)
	case n < 26:
		*term++
		v := []byte(fmt.Sprint("node", *term))
		p.both("term", p.g.SetUint64([]byte("CurrentTerm"), *term), p.w.SetUint64([]byte("CurrentTerm"), *term))
		p.both("vote", p.g.Set([]byte("LastVoteCand"), v), p.w.Set([]byte("LastVoteCand"), v))
	case n < 28:
		p.close()
		p.open()
		p.compare()
	default:
		p.compare()
	}
}

// A hole is refused by both.
func TestHole(t *testing.T) {
	p := &pair{t: t, dirs: [2]string{t.TempDir(), t.TempDir()}}
	p.open()
	defer p.close()
	one := func(i uint64) []*raft.Log { return []*raft.Log{{Index: i, Term: 1}} }
	p.both("store 1", p.g.StoreLogs(one(1)), p.w.StoreLogs(one(1)))
	p.both("store 3", p.g.StoreLogs(one(3)), p.w.StoreLogs(one(3)))
	p.both("store 1 again", p.g.StoreLogs(one(1)), p.w.StoreLogs(one(1)))
	p.compare()
}
