package state

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
)

// crashes runs random histories with a power cut somewhere, and checks what
// is left: a prefix of the entries, exactly the one its applied index says,
// and nothing older than the last sync; replaying the rest gives the state
// of a store that never crashed. It returns the first promise broken.
func crashes(t *testing.T, sync func(*Group) error) error {
	t.Helper()
	for seed := range uint64(25) {
		if err := crashOnce(t, seed, sync); err != nil {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
	}
	return nil
}

func crashOnce(t *testing.T, seed uint64, sync func(*Group) error) error {
	rng := rand.New(rand.NewPCG(seed, 1))
	fs := vfs.NewCrashableMem()
	s, g, _ := openLedger(t, fs, 4)
	model, m, _ := openLedger(t, vfs.NewMem(), 4)
	defer closeStore(t, model)
	entries := randomEntries(rng, 1, 60)
	states := []string{""} // by applied index
	for i := range entries {
		m.Apply(entries[i : i+1])
		states = append(states, dumpGroup(t, m))
	}
	synced, applied := 0, 0
	stop := 1 + rng.IntN(len(entries))
	for applied < stop {
		n := min(1+rng.IntN(5), len(entries)-applied)
		g.Apply(entries[applied : applied+n])
		applied += n
		switch rng.IntN(8) {
		case 0:
			if err := sync(g); err != nil {
				t.Fatal(err)
			}
			synced = applied
		case 1:
			if err := s.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	after := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(2) * rng.IntN(101), RNG: rng})
	closeStore(t, s)
	s, g, _ = openLedger(t, after, 4)
	defer closeStore(t, s)
	index, _ := g.Applied()
	if int(index) < synced {
		return fmt.Errorf("applied is %d after the crash, synced were %d", index, synced)
	}
	if int(index) > applied {
		return fmt.Errorf("applied is %d after the crash, given were %d", index, applied)
	}
	if dumpGroup(t, g) != states[index] {
		return fmt.Errorf("the rows are not those of index %d", index)
	}
	g.Apply(entries) // replay skips what is there
	if dumpGroup(t, g) != states[len(entries)] {
		return errors.New("replay does not give the state of a store that never crashed")
	}
	compareRetries(t, m.retries, g.retries)
	return nil
}

func TestCrashLeavesAPrefix(t *testing.T) {
	if err := crashes(t, (*Group).Sync); err != nil {
		t.Error(err)
	}
}

// The check must see a sync that does nothing.
func TestCrashCheckCatchesMissingSync(t *testing.T) {
	if crashes(t, func(*Group) error { return nil }) == nil {
		t.Error("a store that never syncs was not caught")
	}
}

// A crash around a restore leaves the old state or the new one.
func TestCrashAroundRestore(t *testing.T) {
	source, a, _ := openLedger(t, vfs.NewMem(), 1)
	defer closeStore(t, source)
	a.Apply(randomEntries(rand.New(rand.NewPCG(1, 1)), 1, 50))
	image, replaced := imageOf(t, a), dumpGroup(t, a)
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 2))
		fs := vfs.NewCrashableMem()
		s, g, _ := openLedger(t, fs, 1)
		g.Apply(randomEntries(rng, 1, 20))
		if err := g.Sync(); err != nil {
			t.Fatal(err)
		}
		old := dumpGroup(t, g)
		var during *vfs.MemFS
		cut := &cutReader{r: bytes.NewReader(image), at: rng.IntN(len(image)), then: func() {
			during = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
		}}
		if err := g.Restore(cut); err != nil {
			t.Fatal(err)
		}
		after := fs.CrashClone(vfs.CrashCloneCfg{})
		closeStore(t, s)
		for fs, want := range map[*vfs.MemFS]string{during: old, after: replaced} {
			s, g, _ := openLedger(t, fs, 1)
			if got := dumpGroup(t, g); got != want {
				t.Errorf("seed %d: the state after the crash is neither old nor new as it should be", seed)
			}
			if g.Apply([]rookery.Entry{entry(60, 60, 0, 1, 1)}); dumpGroup(t, g) == want {
				t.Error("it takes no more entries")
			}
			closeStore(t, s)
		}
	}
}

// cutReader calls then when it has given at bytes.
type cutReader struct {
	r    *bytes.Reader
	at   int
	then func()
}

func (c *cutReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p[:min(len(p), 512)])
	if c.at -= n; c.at < 0 && c.then != nil {
		c.then()
		c.then = nil
	}
	return n, err
}
