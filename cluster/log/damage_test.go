package log

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"rookery"
)

// flip changes one byte of a file.
func flip(t testing.TB, fs vfs.FS, name string, off int64) {
	t.Helper()
	f, err := fs.OpenReadWrite(name, "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if err := readFull(f, b, off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x40
	if _, err := f.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
}

// find gives the file and offset of bytes in the segments.
func find(t testing.TB, fs vfs.FS, want []byte) (name string, off int64) {
	t.Helper()
	names, _ := fs.List("log")
	for _, n := range names {
		if _, ok := slotNumber(n); !ok {
			continue
		}
		f, err := fs.Open("log/" + n)
		if err != nil {
			t.Fatal(err)
		}
		st, _ := f.Stat()
		b := make([]byte, st.Size())
		_ = readFull(f, b, 0)
		f.Close()
		if i := bytes.Index(b, want); i >= 0 {
			return "log/" + n, int64(i)
		}
	}
	t.Fatalf("%q is in no segment", want[:min(20, len(want))])
	return "", 0
}

// peer gives a log with the same entries, and a Repair that asks it.
func peer(t testing.TB, from, to, term uint64, size int) func(context.Context, rookery.GroupID, rookery.LogIndex, uint64) ([]byte, error) {
	l := open(t, vfs.NewMem())
	g := group(t, l, 1)
	fill(t, g, from, to, term, size)
	return func(_ context.Context, _ rookery.GroupID, i rookery.LogIndex, term uint64) ([]byte, error) {
		return g.Record(i, term)
	}
}

func TestDamagedEntryInSealedSegment(t *testing.T) {
	fs := vfs.NewMem()
	l := open(t, fs)
	fill(t, group(t, l, 1), 1, 60, 1, 3000)
	l.Close()
	name, off := find(t, fs, entry(3, 1, 3000).Data)
	flip(t, fs, name, off+100)
	l = open(t, fs)
	g := group(t, l, 1)
	var e raft.Log
	if err := g.GetLog(3, &e); !rookery.Is(err, rookery.KindDamaged) {
		t.Fatalf("a damaged entry: %v", err)
	}
	l.Close()
	repair := peer(t, 1, 60, 1, 3000)
	for range 2 {
		l = open(t, fs, func(o *Options) { o.Repair = repair })
		g = group(t, l, 1)
		wantEntries(t, g, 1, 60, 1, 3000)
		l.Close()
		repair = nil // the second time it is whole
	}
}

func TestDamagedFooterAndTrailer(t *testing.T) {
	for _, at := range []string{"trailer", "footer"} {
		fs := vfs.NewMem()
		l := open(t, fs)
		fill(t, group(t, l, 1), 1, 60, 1, 3000)
		l.mu.RLock()
		s := l.segments[1]
		l.mu.RUnlock()
		l.Close()
		off := s.footer.off + frameHead + recordHead + 3
		if at == "trailer" {
			off = s.slot.size - pageSize + 8
		}
		flip(t, fs, "log/"+slotName(s.slot.number), off)
		l = open(t, fs)
		wantEntries(t, group(t, l, 1), 1, 60, 1, 3000)
		l.Close()
	}
}

// A bad frame before a good one is damage. Where only a body is bad, the
// group it belongs to is refused until it is mended; others start.
func TestDamagedBodyInActiveSegment(t *testing.T) {
	fs := vfs.NewMem()
	l := open(t, fs)
	fill(t, group(t, l, 1), 1, 5, 1, 3000)
	fill(t, group(t, l, 2), 1, 1, 1, 100)
	l.Close()
	name, off := find(t, fs, entry(3, 1, 3000).Data)
	flip(t, fs, name, off+10)
	l = open(t, fs)
	if _, err := l.Group(1); !rookery.Is(err, rookery.KindDamaged) {
		t.Fatalf("a damaged group: %v", err)
	}
	wantEntries(t, group(t, l, 2), 1, 1, 1, 100)
	if err := l.Mend(t.Context(), 1); !rookery.Is(err, rookery.KindDamaged) {
		t.Errorf("mended without a peer: %v", err)
	}
	l.Close()
	l = open(t, fs, func(o *Options) { o.Repair = peer(t, 1, 5, 1, 3000) })
	if err := l.Mend(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		wantEntries(t, group(t, l, 1), 1, 5, 1, 3000)
		l.Close()
		l = open(t, fs)
	}
}

func TestIllegibleFrame(t *testing.T) {
	fs := vfs.NewMem()
	l := open(t, fs)
	fill(t, group(t, l, 1), 1, 5, 1, 3000)
	fill(t, group(t, l, 2), 1, 1, 1, 100)
	l.Close()
	name, off := find(t, fs, entry(3, 1, 3000).Data)
	flip(t, fs, name, off-recordHead-frameHead+24) // the frame's number
	l = open(t, fs, func(o *Options) { o.Repair = peer(t, 1, 5, 1, 3000) })
	for id := rookery.GroupID(1); id < 3; id++ {
		_, err := l.Group(id)
		if !rookery.Is(err, rookery.KindDamaged) || !strings.Contains(err.Error(), "illegible") {
			t.Errorf("group %d: %v", id, err)
		}
		if err := l.Mend(t.Context(), id); !rookery.Is(err, rookery.KindDamaged) {
			t.Errorf("group %d was mended although nobody knows what was lost: %v", id, err)
		}
	}
	group(t, l, 3) // a new group may start
}

func TestTornTailIsDropped(t *testing.T) {
	fs := vfs.NewMem()
	l := open(t, fs)
	fill(t, group(t, l, 1), 1, 5, 1, 3000)
	l.Close()
	name, off := find(t, fs, entry(5, 1, 3000).Data)
	flip(t, fs, name, off+10)
	l = open(t, fs)
	g := group(t, l, 1)
	wantRange(t, g, 1, 4)
	fill(t, g, 5, 20, 2, 2000)
	l.Close()
	l = open(t, fs)
	wantEntries(t, group(t, l, 1), 5, 20, 2, 2000)
}

// The checkpoint of the newest segment is illegible and frames follow it.
func TestIllegibleCheckpoint(t *testing.T) {
	fs := vfs.NewMem()
	l := open(t, fs)
	fill(t, group(t, l, 1), 1, 17, 1, 3000)
	l.mu.RLock()
	s, off := l.active, l.off
	l.mu.RUnlock()
	l.Close()
	if off == pageSize {
		t.Fatal("the active segment has no entry")
	}
	flip(t, fs, "log/"+slotName(s.slot.number), frameHead+recordHead+2)
	if _, err := Open(Options{Dir: "log", FS: fs, SegmentSize: testSegment}); !rookery.Is(err, rookery.KindDamaged) {
		t.Fatalf("open: %v", err)
	}
}

func TestMissingSegment(t *testing.T) {
	fs := vfs.NewMem()
	l := open(t, fs)
	fill(t, group(t, l, 1), 1, 60, 1, 3000)
	group(t, l, 2)
	l.Close()
	name, _ := find(t, fs, entry(3, 1, 3000).Data)
	if err := fs.Remove(name); err != nil {
		t.Fatal(err)
	}
	l = open(t, fs, func(o *Options) { o.Repair = peer(t, 1, 60, 1, 3000) })
	if _, err := l.Group(1); !rookery.Is(err, rookery.KindDamaged) {
		t.Fatalf("group 1: %v", err)
	}
	group(t, l, 2)
	if err := l.Mend(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	wantEntries(t, group(t, l, 1), 1, 60, 1, 3000)
}

// FuzzRecover damages the files of a log with sealed segments and an active
// one. Whatever the damage: no panic, and no entry is given that was not
// stored, and none in the middle of what was acknowledged is missing without
// KindDamaged. Only the very end may go: it looks like an unfinished write.
func FuzzRecover(f *testing.F) {
	base := vfs.NewCrashableMem()
	l := open(f, base)
	g := group(f, l, 1)
	fill(f, g, 1, 26, 1, 4000)
	if err := g.DeleteRange(20, 26); err != nil {
		f.Fatal(err)
	}
	fill(f, g, 20, 30, 2, 3000)
	fill(f, group(f, l, 2), 1, 10, 1, 700)
	l.Close()
	names, _ := base.List("log")
	for _, n := range names {
		h, _ := base.OpenReadWrite("log/"+n, "")
		_ = h.Sync()
		h.Close()
	}
	f.Add([]byte{0, 0, 0, 0, 1, 255})
	f.Add([]byte{1, 0, 16, 32, 8, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add([]byte{0, 0, 0xf0, 0, 4, 0, 0, 0, 0, 1, 0, 0xf0, 0, 2, 1, 1})
	f.Add([]byte{2, 0, 0, 24, 1, 1, 2, 0, 16, 24, 1, 9})
	f.Fuzz(func(t *testing.T, in []byte) {
		fs, chunks := base.CrashClone(vfs.CrashCloneCfg{}), 0
		for len(in) >= 5 { // file, offset (3 bytes), count, bytes
			slot, off, n := uint32(in[0]%5), int64(in[1])<<16|int64(in[2])<<8|int64(in[3]), int(in[4])
			in = in[5:]
			n = min(n, len(in))
			name := "log/" + slotName(slot)
			if _, err := fs.Stat(name); err == nil && n > 0 && off < testSegment {
				h, _ := fs.OpenReadWrite(name, "")
				_, _ = h.WriteAt(in[:min(int64(n), testSegment-off)], off)
				h.Close()
				chunks++
			}
			in = in[n:]
		}
		l, err := Open(Options{Dir: "log", FS: fs, SegmentSize: testSegment, Spares: 1, OnStall: func(err error) { t.Error(err) }})
		if err != nil {
			if !rookery.Is(err, rookery.KindDamaged) {
				t.Fatal(err)
			}
			return
		}
		defer l.Close()
		g, err := l.Group(1)
		if err != nil {
			if !rookery.Is(err, rookery.KindDamaged) {
				t.Fatal(err)
			}
			return
		}
		last, _ := g.LastIndex()
		if chunks <= 1 && last != 30 {
			t.Fatalf("the last entry was 30 and is silently %d: frames of another group followed it", last)
		}
		for i := uint64(1); i <= last; i++ {
			var e raft.Log
			if err := g.GetLog(i, &e); rookery.Is(err, rookery.KindDamaged) {
				continue
			} else if err != nil {
				t.Fatalf("entry %d of %d: %v", i, last, err)
			}
			a, b := entry(i, 1, 4000).Data, entry(i, 2, 3000).Data
			if !bytes.Equal(e.Data, a) && !bytes.Equal(e.Data, b) || i < 20 && e.Term != 1 {
				t.Fatalf("entry %d was never stored", i)
			}
		}
		if err := g.StoreLog(entry(last+1, 3, 100)); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzDecode runs the decoders on anything.
func FuzzDecode(f *testing.F) {
	x := newIndex()
	x.add(1, 0, 5, place{off: 64, size: 100, term: 3})
	x.add(1, 0, 6, place{off: 164, size: 100, term: 3})
	x.addBody(2, 9, place{off: 264, size: 60, term: 1})
	f.Add(x.encode())
	f.Add(checkpoint{segments: []liveSegment{{id: 1, salt: 2, slot: 3}},
		groups: []groupState{{id: 1, log: []extentState{{first: 1, last: 9}}}}}.encode())
	f.Add(binary.AppendUvarint(nil, 1<<62))
	f.Fuzz(func(t *testing.T, b []byte) {
		if x, err := decodeIndex(b); err == nil {
			if y, err := decodeIndex(x.encode()); err != nil || y.entries != x.entries {
				t.Errorf("index: %v", err)
			}
		} else if !errors.Is(err, errFormat) {
			t.Error(err)
		}
		_, _ = decodeCheckpoint(b)
		if f, ok := decodeFrame(b); ok {
			_, _ = legible(f, b[frameHead:])
		}
		_, _ = decodeTrailer(b)
		_, _ = DataOf(b, 1, 1, 0)
	})
}
