package log

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"rookery"
)

// oracle is what the callers of a log know: what was acknowledged, and the
// one operation that is under way.
type oracle struct {
	mu     sync.Mutex
	groups map[rookery.GroupID]*known
}

type known struct {
	entries []*raft.Log // acknowledged, consecutive
	bodies  map[uint64]*raft.Log
	permit  uint64
	keep    uint64
	term    uint64
	doing   doing
}

type doing struct {
	store    []*raft.Log
	truncate uint64 // the new last
	reset    bool
	erase    bool
	body     *raft.Log
	term     uint64
}

func (k *known) first() uint64 {
	if len(k.entries) == 0 {
		return 0
	}
	return k.entries[0].Index
}

func (k *known) last() uint64 {
	if len(k.entries) == 0 {
		return 0
	}
	return k.entries[len(k.entries)-1].Index
}

// begin and end bracket an operation.
func (o *oracle) begin(k *known, d doing) {
	o.mu.Lock()
	k.doing = d
	o.mu.Unlock()
}

func (o *oracle) end(k *known) {
	o.mu.Lock()
	d := k.doing
	k.doing = doing{}
	k.entries = append(k.entries, d.store...)
	if d.truncate > 0 {
		k.entries = k.entries[:d.truncate+1-k.first()]
	}
	if d.reset {
		for _, e := range k.entries {
			k.bodies[e.Index] = e
		}
		k.entries, k.permit = nil, 0
	}
	if d.erase {
		k.entries, k.permit = nil, 0
		clear(k.bodies)
	}
	if d.body != nil {
		k.bodies[d.body.Index] = d.body
	}
	if d.term > 0 {
		k.term = d.term
	}
	o.mu.Unlock()
}

// check compares a recovered log with what must and may be in it.
func (o *oracle) check(l *Log) error {
	for id, k := range o.groups {
		g, err := l.Group(id)
		if err != nil {
			return err
		}
		if err := k.check(g); err != nil {
			return fmt.Errorf("group %d: %w", id, err)
		}
	}
	return nil
}

func (k *known) check(g *Group) error {
	first, _ := g.FirstIndex()
	last, _ := g.LastIndex()
	want, may := k.entries, k.doing.store
	lo, hi := k.last(), k.last()
	if n := len(may); n > 0 {
		hi = may[n-1].Index
	}
	if k.doing.truncate > 0 {
		lo = k.doing.truncate
	}
	empties := k.doing.reset || k.doing.erase
	if empties {
		lo = 0
	}
	if last < lo || last > hi || empties && last != 0 && last != hi || k.doing.truncate > 0 && last != lo && last != hi {
		return fmt.Errorf("last is %d, acknowledged %d, may be up to %d (doing %+v)", last, lo, hi, k.doing)
	}
	if floor := min(k.permit, k.keep, last); last > 0 && lo > 0 && first > max(floor, k.first()) {
		return fmt.Errorf("first is %d, %d must stay", first, floor)
	}
	for i := first; last > 0 && i <= last; i++ {
		var e raft.Log
		if err := g.GetLog(i, &e); err != nil {
			return fmt.Errorf("entry %d of %d to %d: %w", i, first, last, err)
		}
		var w *raft.Log
		switch {
		case len(want) > 0 && i >= k.first() && i <= k.last():
			w = want[i-k.first()]
		case len(may) > 0 && i >= may[0].Index:
			w = may[i-may[0].Index]
		default:
			return fmt.Errorf("entry %d was never stored", i)
		}
		if e.Term != w.Term || e.Type != w.Type || !bytes.Equal(e.Data, w.Data) {
			return fmt.Errorf("entry %d of term %d is not the one stored, of term %d", i, e.Term, w.Term)
		}
	}
	for i, w := range k.bodies {
		if k.keep > 0 && i < k.keep || k.doing.erase {
			continue
		}
		b := make([]byte, len(w.Data))
		if n, err := g.ReadAt(rookery.LogIndex(i), w.Term, b, 0); n < len(b) || !bytes.Equal(b, w.Data) {
			return fmt.Errorf("body %d of term %d: %d bytes, %v", i, w.Term, n, err)
		}
	}
	if v, err := g.GetUint64([]byte("CurrentTerm")); err != nil || v != k.term && v != k.doing.term || v < k.term {
		return fmt.Errorf("term is %d (%v), acknowledged %d", v, err, k.term)
	}
	return nil
}

// workload is a seeded sequence of operations on two groups.
type workload struct {
	o     *oracle
	l     *Log
	gs    map[rookery.GroupID]*Group
	rng   *rand.Rand
	terms uint64
}

func (w *workload) op() error {
	id := rookery.GroupID(1 + w.rng.IntN(2))
	k, g := w.o.groups[id], w.gs[id]
	d := doing{}
	var run func() error
	switch n := w.rng.IntN(42); {
	case n < 24:
		next := k.last() + 1
		if k.last() == 0 {
			next = w.terms*1000 + 1
		}
		for i := range 1 + w.rng.IntN(4) {
			e := entry(next+uint64(i), w.terms, w.rng.IntN(9000))
			if w.rng.IntN(5) == 0 {
				e.Extensions = []byte("x")
			}
			d.store = append(d.store, e)
		}
		run = func() error { return g.StoreLogs(d.store) }
	case n < 28:
		w.terms++
		d.term = w.terms
		run = func() error { return g.SetUint64([]byte("CurrentTerm"), d.term) }
	case n < 31 && len(k.entries) > 3:
		lowest, _ := g.FirstIndex()
		d.truncate = k.last() - uint64(1+w.rng.IntN(3))
		if d.truncate <= lowest {
			return nil
		}
		w.terms++
		run = func() error { return g.DeleteRange(d.truncate+1, k.last()) }
	case n < 32 && len(k.entries) > 0:
		d.reset = true
		w.terms++
		run = func() error { return g.DeleteRange(1, k.last()) }
	case n < 34:
		d.body = entry(w.terms*1000+900+uint64(w.rng.IntN(90)), w.terms, w.rng.IntN(5000))
		if k.bodies[d.body.Index] != nil {
			return nil
		}
		run = func() error { return g.PutBody(rookery.LogIndex(d.body.Index), d.body.Term, d.body.Data) }
	case n >= 40 && len(k.entries) > 0:
		d.erase = true
		w.terms++
		run = g.Erase
	case len(k.entries) > 5: // Raft permits, the packer releases
		w.o.mu.Lock()
		upTo := k.last() - uint64(w.rng.IntN(5))
		k.permit = max(k.permit, upTo)
		k.keep = max(k.keep, upTo)
		w.o.mu.Unlock()
		g.keepFrom(rookery.LogIndex(k.keep))
		_ = g.SetFloor("archive", rookery.LogIndex(k.keep-min(k.keep, uint64(w.rng.IntN(40)))))
		return g.DeleteRange(1, k.permit-1)
	default:
		return nil
	}
	w.o.begin(k, d)
	if err := run(); err != nil {
		return err
	}
	w.o.end(k)
	return nil
}

// crash runs the workload and cuts the power around every write. It returns
// the first broken promise, and the number of power cuts.
func crash(t *testing.T, seed uint64, ops int, noSync bool) (cuts int, broken error) {
	rng := rand.New(rand.NewPCG(seed, 1))
	fs := newCrashFS(vfs.NewCrashableMem())
	fs.noSync = noSync
	opts := Options{Dir: "log", FS: fs, SegmentSize: testSegment, Spares: 1, DiskBudget: 5 * testSegment, CacheBytes: 1,
		Floors:  map[string]Class{BodiesFloor: Bodies, "archive": Archive},
		OnStall: func(err error) { t.Errorf("stalled: %v", err) }}
	l, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := &workload{o: &oracle{groups: map[rookery.GroupID]*known{}}, l: l, gs: map[rookery.GroupID]*Group{}, rng: rng, terms: 1}
	for id := range rookery.GroupID(2) {
		w.gs[id+1] = group(t, l, id+1)
		w.o.groups[id+1] = &known{bodies: map[uint64]*raft.Log{}}
	}
	dice := rand.New(rand.NewPCG(seed, 2))
	var once sync.Mutex // the writer and the keeper both write
	over := false
	step := func() {
		once.Lock()
		defer once.Unlock()
		if broken != nil || over {
			return
		}
		w.o.mu.Lock()
		defer w.o.mu.Unlock()
		cuts++
		p := survivors(dice.IntN(int(policies)))
		if err := recovers(w.o, opts, fs.cut(p, dice), p, dice); err != nil {
			broken = fmt.Errorf("seed %d, power cut %d (survivors %d): %w", seed, cuts, p, err)
		}
	}
	fs.step.Store(&step)
	for i := 0; i < ops; i++ {
		if err := w.op(); err != nil {
			t.Fatalf("operation %d: %v", i, err)
		}
		once.Lock()
		stop := broken != nil
		once.Unlock()
		if stop {
			break
		}
	}
	if s := l.Stats(); !noSync && broken == nil && (s.Freed == 0 || s.CopiedBytes == 0) {
		t.Logf("seed %d: %d segments freed, %d bytes copied", seed, s.Freed, s.CopiedBytes)
	}
	once.Lock()
	defer once.Unlock()
	over = true
	return cuts, broken
}

// recovers opens what a power cut left, checks it, cuts the power again at
// once, and checks that nothing that was seen has gone; then it writes on.
func recovers(o *oracle, opts Options, disk *vfs.MemFS, p survivors, dice *rand.Rand) error {
	again := newCrashFS(disk)
	opts.FS = again
	l, err := Open(opts)
	if err != nil {
		return err
	}
	if err := o.check(l); err != nil {
		l.Close()
		return err
	}
	type seen struct{ last, term uint64 }
	saw := map[rookery.GroupID]seen{}
	for id := range o.groups {
		g, _ := l.Group(id)
		last, _ := g.LastIndex()
		term, _ := g.GetUint64([]byte("CurrentTerm"))
		saw[id] = seen{last, term}
	}
	third := newCrashFS(again.cut(survivors(dice.IntN(int(policies))), dice))
	l.Close()
	opts.FS = third
	if l, err = Open(opts); err != nil {
		return fmt.Errorf("second cut: %w", err)
	}
	defer l.Close()
	if err := o.check(l); err != nil {
		return fmt.Errorf("second cut: %w", err)
	}
	for id, s := range saw {
		g, _ := l.Group(id)
		last, _ := g.LastIndex()
		term, _ := g.GetUint64([]byte("CurrentTerm"))
		if last != s.last || term != s.term {
			return fmt.Errorf("second cut: group %d was seen at %d in term %d and is at %d in term %d", id, s.last, s.term, last, term)
		}
		if err := g.StoreLog(entry(last+1, term, 3000)); err != nil {
			return fmt.Errorf("writing on: %w", err)
		}
	}
	return nil
}

func TestPowerCutAtEveryWrite(t *testing.T) {
	seeds, total := uint64(3), 0
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		n, err := crash(t, seed, 120, false)
		total += n
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d power cuts", total)
}

// The test above must fail for a log that does not wait for the disk.
func TestPowerCutCatchesMissingSync(t *testing.T) {
	if _, err := crash(t, 1, 120, true); err == nil {
		t.Fatal("fsync was taken out and nothing noticed")
	} else {
		t.Log(err)
	}
}
