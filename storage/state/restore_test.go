package state

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"rookery"
)

func imageOf(t testing.TB, g *Group) []byte {
	t.Helper()
	im, err := g.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	var b bytes.Buffer
	n, err := im.WriteTo(&b)
	if err != nil || n != im.Size() || int64(b.Len()) != n {
		t.Fatalf("wrote %d bytes (%v), said %d, buffer has %d", n, err, im.Size(), b.Len())
	}
	return b.Bytes()
}

func randomEntries(rng *rand.Rand, from, n uint64) (entries []rookery.Entry) {
	for i := range n {
		var cmd []byte
		for range 1 + rng.IntN(4) {
			cmd = append(cmd, byte(rng.IntN(5)), byte(rng.IntN(64)), byte(rng.IntN(256)))
		}
		entries = append(entries, entry(from+i, from+i, cmd...))
	}
	return entries
}

// Two replicas, one of which is replaced by the other's image at random
// points, must stay equal.
func TestImagesAtRandomPoints(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	s1, a, _ := openLedger(t, vfs.NewMem(), 1)
	defer closeStore(t, s1)
	s2, b, m := openLedger(t, vfs.NewMem(), 9)
	defer closeStore(t, s2)
	other, err := s2.Group(8, func(*Group) Machine { return &ledger{} })
	if err != nil {
		t.Fatal(err)
	}
	other.Apply(randomEntries(rng, 1, 10))
	otherBefore := dumpGroup(t, other)
	next := uint64(1)
	for round := range 30 {
		entries := randomEntries(rng, next, 1+rng.Uint64N(20))
		next += uint64(len(entries))
		want := a.Apply(entries)
		if rng.IntN(2) == 0 {
			b.Apply(randomEntries(rng, 1000+next, 5)) // b goes astray first
			old := b.Read()
			before := dump(t, old)
			if err := b.Restore(bytes.NewReader(imageOf(t, a))); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, dump(t, old)); diff != "" {
				t.Fatal("a view from before the restore changed:", diff)
			}
			old.Close()
		} else {
			// Not a replica of the same log unless it was restored before.
			if index, _ := b.Applied(); index+1 != entries[0].Index {
				continue
			}
			if diff := cmp.Diff(want, b.Apply(entries)); diff != "" {
				t.Fatal("results differ:", diff)
			}
		}
		if diff := cmp.Diff(dumpGroup(t, a), dumpGroup(t, b)); diff != "" {
			t.Fatalf("round %d: %s", round, diff)
		}
		compareRetries(t, a.retries, b.retries)
		if a.Time() != b.Time() {
			t.Fatalf("times %d and %d", a.Time(), b.Time())
		}
	}
	if m.restored == 0 || b.Generation() == 0 {
		t.Error("the machine was not told of a restore")
	}
	if otherBefore != dumpGroup(t, other) {
		t.Error("restoring one group changed another")
	}
}

func TestLargeImageOfSeveralTables(t *testing.T) {
	s, err := Open("a", vfs.NewMem(), Options{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	a, err := s.Group(1, func(*Group) Machine { return bulk{} })
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Group(2, func(*Group) Machine { return bulk{} })
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(3) {
		send(a, Header{Node: "n", Epoch: 1, Seq: i + 1}, byte(i))
		send(b, Header{Node: "n", Epoch: 1, Seq: i + 1}, byte(9+i))
	}
	if err := b.Restore(bytes.NewReader(imageOf(t, a))); err != nil {
		t.Fatal(err)
	}
	if dumpGroup(t, a) != dumpGroup(t, b) {
		t.Error("the image of several tables did not replace everything")
	}
}

// bulk writes 25 MiB a command.
type bulk struct{}

func (bulk) Apply(tx Tx, entry []byte) []byte {
	n := entry[tx.Offset()]
	for i := range 25 {
		value := bytes.Repeat([]byte{n, byte(i)}, 1<<19)
		if err := tx.Set([]byte{FirstTable, n, byte(i)}, value); err != nil {
			panic(err)
		}
	}
	return OK(nil)
}
func (bulk) Restored() {}

func TestDamagedImagesChangeNothing(t *testing.T) {
	s, g, _ := openLedger(t, vfs.NewMem(), 1)
	defer closeStore(t, s)
	g.Apply(randomEntries(rand.New(rand.NewPCG(5, 6)), 1, 40))
	image, want := imageOf(t, g), dumpGroup(t, g)
	for i := 0; i < len(image); i += 7 {
		bad := bytes.Clone(image)
		bad[i] ^= 0x40
		if err := g.Restore(bytes.NewReader(bad)); !rookery.Is(err, rookery.KindDamaged) {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
		if err := g.Restore(bytes.NewReader(image[:i])); !rookery.Is(err, rookery.KindDamaged) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if dumpGroup(t, g) != want {
		t.Error("a damaged image changed the state")
	}
	left, err := s.fs.List(s.incoming)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func FuzzReadImage(f *testing.F) {
	s, g, _ := openLedger(f, vfs.NewMem(), 1)
	g.Apply(randomEntries(rand.New(rand.NewPCG(5, 6)), 1, 5))
	f.Add(imageOf(f, g))
	closeStore(f, s)
	f.Add([]byte(imageMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		err := readImage(bytes.NewReader(data), func(k, v []byte) error { return nil })
		if err != nil && !rookery.Is(err, rookery.KindDamaged) {
			t.Fatalf("%v", err)
		}
	})
}
