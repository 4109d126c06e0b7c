package log

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"

	"rookery"
)

const testSegment = 64 << 10

func open(t testing.TB, fs vfs.FS, change ...func(*Options)) *Log {
	t.Helper()
	o := Options{Dir: "log", FS: fs, SegmentSize: testSegment, Spares: 1, OnStall: func(err error) { t.Errorf("stalled: %v", err) }}
	for _, c := range change {
		c(&o)
	}
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// keepFrom is the floor of bodies, the one that a log of these tests has.
func (g *Group) keepFrom(index rookery.LogIndex) {
	if err := g.SetFloor(BodiesFloor, index); err != nil {
		panic(err)
	}
}

func group(t testing.TB, l *Log, id rookery.GroupID) *Group {
	t.Helper()
	g, err := l.Group(id)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func entry(index, term uint64, size int) *raft.Log {
	data := bytes.Repeat(fmt.Appendf(nil, "%d/%d ", index, term), size/4+1)[:size]
	return &raft.Log{Index: index, Term: term, Data: data, AppendedAt: time.Unix(1700000000, int64(index)).UTC()}
}

func fill(t testing.TB, g *Group, from, to, term uint64, size int) {
	t.Helper()
	for i := from; i <= to; i++ {
		if err := g.StoreLog(entry(i, term, size)); err != nil {
			t.Fatal(err)
		}
	}
}

func wantRange(t testing.TB, g *Group, first, last uint64) {
	t.Helper()
	f, _ := g.FirstIndex()
	z, _ := g.LastIndex()
	if f != first || z != last {
		t.Fatalf("range %d to %d, want %d to %d", f, z, first, last)
	}
}

func wantEntries(t testing.TB, g *Group, from, to, term uint64, size int) {
	t.Helper()
	for i := from; i <= to; i++ {
		var got raft.Log
		if err := g.GetLog(i, &got); err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		if d := cmp.Diff(*entry(i, term, size), got); d != "" {
			t.Fatalf("entry %d: %s", i, d)
		}
	}
}

func TestStoreAndReopen(t *testing.T) {
	fs := vfs.NewMem()
	l := open(t, fs)
	a, b := group(t, l, 1), group(t, l, 2)
	wantRange(t, a, 0, 0)
	fill(t, a, 1, 100, 1, 3000)
	fill(t, b, 7, 60, 2, 100)
	if err := b.StoreLogs([]*raft.Log{{Index: 61, Term: 3, Type: raft.LogConfiguration, Extensions: []byte("ext"),
		Data: []byte("conf")}, {Index: 62, Term: 3, Type: raft.LogNoop}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		wantRange(t, a, 1, 100)
		wantRange(t, b, 7, 62)
		wantEntries(t, a, 1, 100, 1, 3000)
		wantEntries(t, b, 7, 60, 2, 100)
		var got raft.Log
		if err := b.GetLog(61, &got); err != nil || string(got.Extensions) != "ext" || string(got.Data) != "conf" ||
			got.Type != raft.LogConfiguration || !got.AppendedAt.IsZero() {
			t.Fatalf("entry 61: %+v, %v", got, err)
		}
		if err := a.GetLog(101, &got); !errors.Is(err, raft.ErrLogNotFound) {
			t.Fatalf("entry 101: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = open(t, fs)
		a, b = group(t, l, 1), group(t, l, 2)
	}
	if s := l.Stats(); s.Segments < 5 {
		t.Errorf("%d segments", s.Segments)
	}
}

func TestReadAt(t *testing.T) {
	fs := vfs.NewMem()
	l := open(t, fs, func(o *Options) { o.CacheBytes = 10_000 })
	g := group(t, l, 1)
	fill(t, g, 1, 40, 4, 3000)
	if err := g.StoreLog(&raft.Log{Index: 41, Term: 4, Extensions: []byte("extension"), Data: []byte("0123456789")}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, i := range []uint64{1, 20, 40} {
			p := make([]byte, 100)
			n, err := g.ReadAt(rookery.LogIndex(i), 4, p, 1000)
			if err != nil || !bytes.Equal(p[:n], entry(i, 4, 3000).Data[1000:1100]) {
				t.Fatalf("entry %d: %d, %v", i, n, err)
			}
			if n, err = g.ReadAt(rookery.LogIndex(i), 0, p, 2950); n != 50 || err != io.EOF {
				t.Fatalf("entry %d: %d, %v", i, n, err)
			}
			if n, err = g.ReadAt(rookery.LogIndex(i), 4, p, 3000); n != 0 || err != io.EOF {
				t.Fatalf("entry %d: %d, %v", i, n, err)
			}
			if _, err = g.ReadAt(rookery.LogIndex(i), 5, p, 0); !rookery.Is(err, rookery.KindNotFound) {
				t.Fatalf("entry %d of another term: %v", i, err)
			}
		}
		p := make([]byte, 4)
		if n, err := g.ReadAt(41, 4, p, 3); n != 4 || err != nil || string(p) != "3456" {
			t.Fatalf("%q %v", p[:n], err)
		}
		l.Close()
		l = open(t, fs)
		g = group(t, l, 1)
	}
}

func TestOrder(t *testing.T) {
	l := open(t, vfs.NewMem())
	g := group(t, l, 1)
	fill(t, g, 5, 9, 1, 10)
	for _, i := range []uint64{9, 11, 4} {
		if err := g.StoreLog(entry(i, 1, 10)); !rookery.Is(err, rookery.KindInvalid) {
			t.Errorf("entry %d after 9: %v", i, err)
		}
	}
	if err := g.StoreLogs([]*raft.Log{entry(10, 1, 1), entry(12, 1, 1)}); !rookery.Is(err, rookery.KindInvalid) {
		t.Errorf("a hole: %v", err)
	}
	if err := g.StoreLog(entry(10, 1, testSegment)); !rookery.Is(err, rookery.KindTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if err := g.DeleteRange(6, 7); !rookery.Is(err, rookery.KindInvalid) {
		t.Errorf("a hole: %v", err)
	}
	wantRange(t, g, 5, 9)
	fill(t, g, 10, 10, 1, testSegment/2-100)
}

func TestTruncate(t *testing.T) {
	fs := vfs.NewMem()
	l := open(t, fs)
	g := group(t, l, 1)
	fill(t, g, 1, 80, 1, 2000)
	if err := g.DeleteRange(31, 80); err != nil {
		t.Fatal(err)
	}
	wantRange(t, g, 1, 30)
	l.Close()
	l = open(t, fs)
	g = group(t, l, 1)
	wantRange(t, g, 1, 30)
	fill(t, g, 31, 90, 2, 1500)
	for range 2 {
		wantRange(t, g, 1, 90)
		wantEntries(t, g, 1, 30, 1, 2000)
		wantEntries(t, g, 31, 90, 2, 1500)
		l.Close()
		l = open(t, fs)
		g = group(t, l, 1)
	}
}

// After a snapshot was installed Raft deletes the whole range; bodies that
// Keep protects stay readable, and bodies put before it too.
func TestReset(t *testing.T) {
	fs := vfs.NewMem()
	l := open(t, fs)
	g := group(t, l, 1)
	fill(t, g, 1, 50, 1, 2000)
	if err := g.PutBody(70, 3, []byte("a body from a peer")); err != nil {
		t.Fatal(err)
	}
	if err := g.DeleteRange(1, 50); err != nil {
		t.Fatal(err)
	}
	wantRange(t, g, 0, 0)
	fill(t, g, 101, 150, 3, 2000)
	for range 2 {
		wantRange(t, g, 101, 150)
		wantEntries(t, g, 101, 150, 3, 2000)
		p := make([]byte, 18)
		if n, err := g.ReadAt(70, 3, p, 0); err != nil || string(p[:n]) != "a body from a peer" {
			t.Fatalf("body 70: %q, %v", p[:n], err)
		}
		if n, err := g.ReadAt(20, 1, p, 0); err != nil || !bytes.HasPrefix(entry(20, 1, 100).Data, p[:n]) {
			t.Fatalf("body 20: %q, %v", p[:n], err)
		}
		if g.Has(70, 2) || g.Has(71, 0) || !g.Has(20, 1) || !g.Has(70, 0) || !g.Has(120, 3) {
			t.Error("Has disagrees")
		}
		var e raft.Log
		if err := g.GetLog(20, &e); !errors.Is(err, raft.ErrLogNotFound) {
			t.Fatalf("entry 20: %v", err)
		}
		l.Close()
		l = open(t, fs)
		g = group(t, l, 1)
	}
}

func TestStable(t *testing.T) {
	fs := vfs.NewMem()
	l := open(t, fs)
	g := group(t, l, 1)
	if _, err := g.Get([]byte("LastVoteCand")); err == nil || err.Error() != "not found" {
		t.Fatalf("missing key: %v", err)
	}
	for i := range uint64(5) {
		if err := g.SetUint64([]byte("CurrentTerm"), i+1); err != nil {
			t.Fatal(err)
		}
		if err := g.Set([]byte("LastVoteCand"), fmt.Appendf(nil, "node%d", i)); err != nil {
			t.Fatal(err)
		}
		l.Close()
		l = open(t, fs)
		g = group(t, l, 1)
		term, err := g.GetUint64([]byte("CurrentTerm"))
		vote, verr := g.Get([]byte("LastVoteCand"))
		if term != i+1 || err != nil || string(vote) != fmt.Sprintf("node%d", i) || verr != nil {
			t.Fatalf("term %d %v, vote %q %v", term, err, vote, verr)
		}
	}
	if err := g.Set([]byte("k"), make([]byte, 5000)); !rookery.Is(err, rookery.KindTooLarge) {
		t.Errorf("too large: %v", err)
	}
	// A group with entries whose vote is gone must not vote again.
	fill(t, g, 1, 1, 1, 1)
	l.Close()
	if err := fs.Remove("log/stable-00000001"); err != nil {
		t.Fatal(err)
	}
	l = open(t, fs)
	if _, err := l.Group(1); !rookery.Is(err, rookery.KindDamaged) {
		t.Errorf("lost vote: %v", err)
	}
}

func TestLocked(t *testing.T) {
	fs := vfs.NewMem()
	open(t, fs)
	if _, err := Open(Options{Dir: "log", FS: fs}); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("a second process: %v", err)
	}
}

// slowReads is a disk that takes a second for each read.
type slowReads struct{ vfs.FS }

type slowRead struct{ vfs.File }

func (d slowReads) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.FS.OpenReadWrite(name, c, o...)
	if err != nil {
		return nil, err
	}
	return slowRead{f}, nil
}

func (f slowRead) ReadAt(b []byte, off int64) (int, error) {
	time.Sleep(time.Second)
	return f.File.ReadAt(b, off)
}

// Whoever reads while the log is closed reads to the end.
func TestCloseWaitsForReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, slowReads{vfs.NewMem()}, func(o *Options) { o.CacheBytes = 1 })
		g := group(t, l, 1)
		fill(t, g, 1, 3, 1, 2000)
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			var e raft.Log
			if err := g.GetLog(1, &e); err != nil || !bytes.Equal(e.Data, entry(1, 1, 2000).Data) {
				t.Errorf("a read that had begun: %v", err)
			}
		})
		synctest.Wait()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d < time.Second {
			t.Errorf("closed after %v, while somebody read", d)
		}
		wg.Wait()
	})
}

func TestClosed(t *testing.T) {
	l := open(t, vfs.NewMem())
	g := group(t, l, 1)
	l.Close()
	if err := g.StoreLog(entry(1, 1, 1)); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("store: %v", err)
	}
	if err := g.SetUint64([]byte("k"), 1); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("set: %v", err)
	}
	var e raft.Log
	if err := g.GetLog(1, &e); err == nil {
		t.Error("get succeeded")
	}
}
