package log

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"

	"rookery"
	"rookery/test/faultdisk"
)

// failAt runs the workload until the n-th fsync fails with a full disk, ends
// the process there, starts again where there is room, writes on, and cuts the
// power: what was acknowledged is there each time, although the failed fsync
// dropped what it was about and the second process still saw it.
func failAt(t *testing.T, seed uint64, n, ops int) (reached bool) {
	t.Helper()
	disk := faultdisk.New()
	opts := Options{Dir: "log", FS: disk, SegmentSize: testSegment, Spares: 1, DiskBudget: 5 * testSegment, CacheBytes: 1}
	var stalled atomic.Pointer[error]
	opts.OnStall = func(err error) { stalled.Store(&err) }
	w := &workload{o: &oracle{groups: map[rookery.GroupID]*known{}}, gs: map[rookery.GroupID]*Group{},
		rng: rand.New(rand.NewPCG(seed, 1)), terms: 1}
	for id := range rookery.GroupID(2) {
		w.o.groups[id+1] = &known{bodies: map[uint64]*raft.Log{}}
	}
	disk.Fail(n, syscall.ENOSPC)
	l, err := Open(opts)
	for i := 0; err == nil && i <= ops; i++ {
		if i == 0 {
			err = w.take(l)
		} else {
			err = w.op()
		}
	}
	reached = err != nil
	if err != nil && !rookery.Is(err, rookery.KindUnavailable) {
		t.Fatalf("fsync %d: %v", n, err)
	}
	if why := stalled.Load(); why != nil && !errors.Is(*why, syscall.ENOSPC) {
		t.Fatalf("fsync %d: the owner was told %v", n, *why)
	}
	next := disk.Restart()
	next.Fail(0, nil)
	opts.FS = next
	opts.OnStall = func(err error) { t.Errorf("stalled: %v", err) }
	if l, err = Open(opts); err != nil {
		t.Fatalf("fsync %d: started again: %v", n, err)
	}
	if err := errors.Join(w.o.check(l), w.take(l)); err != nil {
		t.Fatalf("fsync %d: started again: %v", n, err)
	}
	// What this start has seen has happened, whatever becomes of the disk.
	w.settle()
	for range 3 {
		if err := w.op(); err != nil {
			t.Fatalf("fsync %d: writing on: %v", n, err)
		}
	}
	opts.FS = next.PowerCut()
	l.Close()
	if l, err = Open(opts); err != nil {
		t.Fatalf("fsync %d: after a power cut: %v", n, err)
	}
	defer l.Close()
	if err := w.o.check(l); err != nil {
		t.Fatalf("fsync %d: after a power cut: %v", n, err)
	}
	return reached
}

// take gives the workload the groups of a log that was opened.
func (w *workload) take(l *Log) (err error) {
	w.l = l
	for id := range w.o.groups {
		if w.gs[id], err = l.Group(id); err != nil {
			return err
		}
		w.gs[id].keepFrom(rookery.LogIndex(w.o.groups[id].keep))
	}
	return nil
}

// settle takes over what the log holds of the operations whose outcome was not
// known.
func (w *workload) settle() {
	for id, k := range w.o.groups {
		g := w.gs[id]
		last, _ := g.LastIndex()
		d := &k.doing
		switch n := len(d.store); {
		case n > 0 && last >= d.store[0].Index:
			d.store = d.store[:last+1-d.store[0].Index]
		case d.truncate > 0 && last != d.truncate, (d.reset || d.erase) && last != 0:
			*d = doing{}
		default:
			d.store = nil
		}
		if term, _ := g.GetUint64([]byte("CurrentTerm")); d.term > 0 && term != d.term {
			d.term = 0
		}
		if b := d.body; b != nil {
			if _, err := g.ReadAt(rookery.LogIndex(b.Index), b.Term, make([]byte, 1), 0); err != nil {
				d.body = nil
			}
		}
		w.o.end(k)
	}
}

// A disk that is full at any fsync: the owner is told why, nothing is repeated,
// and what was acknowledged is there afterwards.
func TestFullAtEveryFsync(t *testing.T) {
	for seed := range uint64(2) {
		n := 1
		for ; failAt(t, seed, n, 40); n++ {
		}
		if n < 50 {
			t.Errorf("seed %d: %d fsyncs: the test proves little", seed, n)
		}
		t.Logf("seed %d: %d fsyncs failed", seed, n-1)
	}
}

// The directory of a term and vote that could not be synced is not trusted by a
// second attempt in the same process.
func TestVoteWithoutADurableNameIsNotTrusted(t *testing.T) {
	for n := 1; n < 20; n++ {
		disk := faultdisk.New()
		l := open(t, disk, func(o *Options) { o.OnStall = func(error) {} })
		l.keeperIdle()
		disk.Fail(n, syscall.ENOSPC)
		_, err := l.Group(7)
		if err == nil {
			return // there are no more fsyncs in it
		}
		disk.Fail(0, nil)
		g, err := l.Group(7)
		if err != nil {
			continue
		}
		if err := g.SetUint64([]byte("CurrentTerm"), 5); err != nil {
			continue
		}
		left := open(t, disk.PowerCut())
		if term, _ := group(t, left, 7).GetUint64([]byte("CurrentTerm")); term != 5 {
			t.Errorf("fsync %d of a new vote fails: term 5 was acknowledged, and after a power cut it is %d", n, term)
		}
	}
}

// A spare whose name could not be synced leaves nothing behind: each attempt
// would cost a file.
func TestFailedSpareLeavesNothing(t *testing.T) {
	disk := faultdisk.New()
	l := open(t, disk)
	l.keeperIdle()
	before, err := disk.List("log")
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; ; n++ {
		disk.Fail(n, syscall.ENOSPC)
		_, err := l.createSlot(uint32(100 + n))
		disk.Fail(0, nil)
		if err == nil {
			break
		}
		after, err := disk.List("log")
		if err != nil {
			t.Fatal(err)
		}
		if len(after) != len(before) {
			t.Errorf("fsync %d: %s are there, %s were", n, strings.Join(after, " "), strings.Join(before, " "))
		}
	}
}

// keeperIdle waits until the spares are there.
func (l *Log) keeperIdle() {
	for l.Stats().SpareFiles < l.opts.Spares {
		runtime.Gosched()
	}
}
