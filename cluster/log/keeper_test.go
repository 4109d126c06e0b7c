package log

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"rookery"
)

func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		budget := func(o *Options) { o.DiskBudget = 6 * testSegment }
		l := open(t, fs, budget)
		a, idle := group(t, l, 1), group(t, l, 2)
		fill(t, idle, 1, 3, 1, 500) // a stuck group: nothing of it is ever released
		fill(t, a, 1, 200, 1, 4000)
		time.Sleep(2 * time.Second)
		if s := l.Stats(); !s.OverBudget || s.Freed != 0 {
			t.Fatalf("nothing was released, yet: %+v", s)
		}
		wantRange(t, a, 1, 200)
		// Raft permits all but the last few; bodies from 150 on are not packed.
		if err := a.DeleteRange(1, 190); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		wantRange(t, a, 1, 200) // Keep is still 0
		a.keepFrom(150)
		time.Sleep(2 * time.Second)
		first, _ := a.FirstIndex()
		if first < 50 || first > 150 {
			t.Errorf("first is %d", first)
		}
		wantEntries(t, a, first, 200, 1, 4000)
		a.keepFrom(1000)
		fill(t, a, 201, 300, 1, 4000)
		if err := a.DeleteRange(first, 290); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		s := l.Stats()
		if s.OverBudget || s.Bytes > 6*testSegment || s.CopiedBytes == 0 || s.SpareFiles != 1 {
			t.Errorf("%+v", s)
		}
		for range 2 {
			// The stuck group pinned nobody's files, and lost nothing.
			wantRange(t, idle, 1, 3)
			wantEntries(t, idle, 1, 3, 1, 500)
			first, _ = a.FirstIndex()
			wantEntries(t, a, first, 300, 1, 4000)
			l.Close()
			l = open(t, fs, budget)
			a, idle = group(t, l, 1), group(t, l, 2)
		}
		l.Close()
	})
}

// Bodies outside Raft's range are copied forward and released like entries.
func TestRetentionOfBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, vfs.NewMem(), func(o *Options) { o.DiskBudget = 7 * testSegment })
		g := group(t, l, 1)
		fill(t, g, 1, 20, 1, 300)
		for i := rookery.LogIndex(30); i < 40; i++ {
			if err := g.PutBody(i, 2, []byte("body")); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.DeleteRange(1, 20); err != nil {
			t.Fatal(err)
		}
		g.keepFrom(15)
		fill(t, g, 100, 250, 3, 4000)
		if err := g.DeleteRange(100, 240); err != nil {
			t.Fatal(err)
		}
		g.keepFrom(15) // entries 15 to 20, the bodies and all of the range stay
		time.Sleep(2 * time.Second)
		for _, i := range []rookery.LogIndex{15, 20} {
			if !g.Has(i, 1) {
				t.Errorf("entry %d is gone", i)
			}
		}
		g.keepFrom(35)
		other := group(t, l, 2)
		fill(t, other, 1, 100, 1, 4000)
		other.keepFrom(100)
		_ = other.DeleteRange(1, 95)
		g.keepFrom(35)
		time.Sleep(2 * time.Second)
		for i := rookery.LogIndex(35); i < 40; i++ {
			if err := g.Verify(i, 2); err != nil {
				t.Errorf("body %d: %v", i, err)
			}
		}
		g.keepFrom(300)
		time.Sleep(2 * time.Second)
		if s := l.Stats(); s.OverBudget {
			t.Errorf("%+v", s)
		}
		l.Close()
	})
}

// A reset between the look at what a segment must keep and the copying of it
// puts those entries outside Raft's range. They were not copied as such, so the
// segment must stay.
func TestResetWhileCopyingForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, vfs.NewMem())
		g := group(t, l, 1)
		l.mu.RLock()
		s := l.active
		l.mu.RUnlock()
		fill(t, g, 1, 50, 1, 4000)
		before := copies{from: g.keep(false), epoch: g.epoch}
		if err := g.DeleteRange(1, 50); err != nil {
			t.Fatal(err)
		}
		if err := l.freeSegment(s, map[*Group]copies{g: before}, false); err != nil {
			t.Fatal(err)
		}
		for i := rookery.LogIndex(1); i <= 50; i++ {
			if err := g.Verify(i, 1); err != nil {
				t.Fatalf("entry %d: %v", i, err)
			}
		}
		l.Close()
	})
}

// smallDisk reports free space.
type smallDisk struct {
	vfs.FS
	free atomic.Uint64
	full atomic.Bool
}

func (d *smallDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: d.free.Load(), TotalBytes: 1 << 40}, nil
}

func (d *smallDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if d.full.Load() {
		return nil, errors.New("no space left on device")
	}
	return d.FS.Create(name, c)
}

func TestDiskState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &smallDisk{FS: vfs.NewMem()}
		d.free.Store(1000)
		l := open(t, d, func(o *Options) { o.SoftFree, o.HardFree = 500, 100 })
		for _, c := range []struct {
			free uint64
			want DiskState
		}{{1000, DiskOK}, {400, DiskSoft}, {50, DiskHard}, {700, DiskOK}} {
			d.free.Store(c.free)
			time.Sleep(2 * time.Second)
			if s := l.Stats(); s.Disk != c.want || s.DiskFree != int64(c.free) {
				t.Errorf("%d free: %v", c.free, s.Disk)
			}
		}
		l.Close()
	})
}

// A disk short of space takes back what is kept as a read cache, far below the
// budget, and never what must stay: else mail would be refused for ever after
// the object store was away until the disk was full.
func TestBudgetGivesWayToAShortDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &smallDisk{FS: vfs.NewMem()}
		d.free.Store(100 * testSegment)
		l := open(t, d, func(o *Options) { o.SoftFree, o.HardFree = 8*testSegment, testSegment })
		a := group(t, l, 1)
		fill(t, a, 1, 200, 1, 4000)
		before := l.Stats()
		d.free.Store(6 * testSegment) // 3 segments short
		time.Sleep(2 * time.Second)
		if s := l.Stats(); s.Freed != 0 || s.Disk != DiskSoft || !s.Short || !s.OverBudget {
			t.Fatalf("nothing may go, yet: %+v", s)
		}
		if err := a.DeleteRange(1, 190); err != nil {
			t.Fatal(err)
		}
		a.keepFrom(190)
		time.Sleep(1500 * time.Millisecond)
		s := l.Stats()
		if s.Bytes > before.Bytes-3*testSegment {
			t.Errorf("%d bytes of log, %d before: the disk is still short", s.Bytes, before.Bytes)
		}
		first, _ := a.FirstIndex()
		wantEntries(t, a, max(first, 190), 200, 1, 4000)
		d.free.Store(100 * testSegment)
		time.Sleep(2 * time.Second)
		freed := l.Stats().Freed
		time.Sleep(5 * time.Second)
		if s := l.Stats(); s.Freed != freed || s.OverBudget || s.Short || s.Disk != DiskOK {
			t.Errorf("with room again: %+v", s)
		}
		l.Close()
	})
}

// When no spare can be made a write fails cleanly, and works again later.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &smallDisk{FS: vfs.NewMem()}
		l := open(t, d)
		g := group(t, l, 1)
		time.Sleep(time.Second)
		synctest.Wait()
		d.full.Store(true)
		var err error
		last := uint64(0)
		for err == nil && last < 1000 {
			if err = g.StoreLog(entry(last+1, 1, 4000)); err == nil {
				last++
			}
		}
		if !rookery.Is(err, rookery.KindUnavailable) || last < 8 {
			t.Fatalf("after %d entries: %v", last, err)
		}
		wantRange(t, g, 1, last)
		wantEntries(t, g, 1, last, 1, 4000)
		d.full.Store(false)
		fill(t, g, last+1, last+50, 1, 4000)
		l.Close()
		l = open(t, d)
		wantEntries(t, group(t, l, 1), 1, last+50, 1, 4000)
		l.Close()
	})
}

// slowFile stalls or fails its fsync.
type slowDisk struct {
	vfs.FS
	delay time.Duration
	fail  bool
}

type slowFile struct {
	vfs.File
	d *slowDisk
}

func (d *slowDisk) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.FS.OpenReadWrite(name, c, o...)
	if err != nil {
		return nil, err
	}
	return &slowFile{f, d}, nil
}

func (f *slowFile) SyncData() error {
	time.Sleep(f.d.delay)
	if f.d.fail {
		return errors.New("input/output error")
	}
	return f.File.SyncData()
}

func TestStall(t *testing.T) {
	for _, stable := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			d := &slowDisk{FS: vfs.NewMem()}
			stalls := make(chan time.Duration, 9)
			start := time.Now()
			l := open(t, d, func(o *Options) { o.OnStall = func(error) { stalls <- time.Since(start) } })
			g := group(t, l, 1)
			write := func() error {
				if stable {
					return g.SetUint64([]byte("t"), 1)
				}
				return g.StoreLog(&raft.Log{Index: 1, Term: 1})
			}
			d.delay = 20 * time.Second
			if err := write(); !rookery.Is(err, rookery.KindUnavailable) {
				t.Errorf("a stuck write: %v", err)
			}
			d.delay = 0
			if err := write(); !rookery.Is(err, rookery.KindUnavailable) {
				t.Errorf("after a stuck write: %v", err)
			}
			if n, first := len(stalls), <-stalls; n != 1 || first != stallAfter {
				t.Errorf("%d stalls, the first after %v", n, first)
			}
			l.Close()
		})
	}
}

func TestFailedSync(t *testing.T) {
	d := &slowDisk{FS: vfs.NewMem()}
	stalls := 0
	l := open(t, d, func(o *Options) { o.OnStall = func(error) { stalls++ } })
	g := group(t, l, 1)
	fill(t, g, 1, 3, 1, 100)
	d.fail = true
	if err := g.StoreLog(entry(4, 1, 100)); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("failed fsync: %v", err)
	}
	d.fail = false
	if err := g.StoreLog(entry(4, 1, 100)); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("a failed fsync was retried: %v", err)
	}
	if stalls != 1 {
		t.Errorf("%d stalls", stalls)
	}
	wantRange(t, g, 1, 3)
}
