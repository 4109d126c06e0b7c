package past

import (
	"errors"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/backup/archive"
)

func number(t *testing.T, name string, or uint64) uint64 {
	v := os.Getenv(name)
	if v == "" {
		return or
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// moment is what an account looked like at a time.
type moment struct {
	id   rookery.AccountID
	at   int64
	seen string
}

// TestAnAccountComesBackAsItWas: for random histories, what the archive brings back of
// an account at a random second is what was live then, bodies and all: under changing
// leaders, images, a store that fails, and entries that are archived twice.
// ROOKERY_RESTORES is how many are brought back, ROOKERY_SEED the first history.
func TestAnAccountComesBackAsItWas(t *testing.T) {
	n, seed := number(t, "ROOKERY_RESTORES", 60), number(t, "ROOKERY_SEED", uint64(time.Now().UnixNano()))
	t.Logf("%d restores: repeat with ROOKERY_SEED=%d ROOKERY_RESTORES=%d", n, seed, n)
	for done := uint64(0); done < n; seed++ {
		w := newWorld(t, seed)
		var moments []moment
		for range 250 {
			w.step()
			w.maybeArchive()
			if images, err := archive.Images(t.Context(), w.archive.Store, testGroup); w.rng.IntN(12) == 0 && err == nil && len(images) > 0 {
				id := w.ids[w.rng.IntN(len(w.ids))]
				moments = append(moments, moment{id, w.group.Time(), w.liveNow(id)})
			}
		}
		w.archived(true)
		for _, m := range moments {
			got, err := w.then(m.id, m.at)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if got != m.seen {
				t.Fatalf("seed %d, account %s at %d:\n%s", seed, m.id, m.at, cmp.Diff(m.seen, got))
			}
			if done++; done >= n {
				break
			}
		}
	}
}

// TestASecondEarlierOrLaterIsNotTheSame: a reader that overshoots the time by one entry
// is noticed.
func TestASecondEarlierOrLaterIsNotTheSame(t *testing.T) {
	w := newWorld(t, 1)
	w.archived(true)
	w.deliver(w.ids[0], 1)
	at, then := w.group.Time(), w.liveNow(w.ids[0])
	w.deliver(w.ids[0], 1)
	later := w.group.Time()
	w.archived(true)
	for when, same := range map[int64]bool{at: true, at - 1: false, later - 1: true, later: false} {
		got, err := w.then(w.ids[0], when)
		if err != nil {
			t.Fatal(err)
		}
		if (got == then) != same {
			t.Errorf("%d ns after: the account looks as then: %v, want %v", when-at, got == then, same)
		}
	}
}

// TestAMissingSegmentIsAGap: the time behind it cannot be restored, and the answer says
// which can.
func TestAMissingSegmentIsAGap(t *testing.T) {
	w := newWorld(t, 2)
	w.archived(true)
	w.deliver(w.ids[0], 1)
	before := w.group.Time()
	w.archived(true)
	w.deliver(w.ids[0], 1)
	w.archived(true)
	lost, err := archive.Segments(t.Context(), w.archive.Store, testGroup)
	w.must(err)
	w.deliver(w.ids[0], 1)
	w.archived(true)
	w.must(w.archive.Store.Delete(t.Context(), lost[len(lost)-1].Key()))

	if _, err := w.then(w.ids[0], before); err != nil {
		t.Errorf("a time before the gap cannot be restored: %v", err)
	}
	_, err = w.then(w.ids[0], w.group.Time())
	var g *Gap
	if !errors.As(err, &g) || !errors.Is(err, ErrGap) || g.Before.IsZero() {
		t.Errorf("a time behind a missing segment gives %v", err)
	}
}

// TestAnImageAloneBringsItsTimeBack: what was archived around a kept image may be gone;
// only the image's own time can be brought back then.
func TestAnImageAloneBringsItsTimeBack(t *testing.T) {
	w := newWorld(t, 7)
	w.archived(true)
	images, err := archive.Images(t.Context(), w.archive.Store, testGroup)
	w.must(err)
	at := images[len(images)-1].Time
	for range 3 {
		w.deliver(w.ids[0], 1)
		w.archived(true)
	}
	segments, err := archive.Segments(t.Context(), w.archive.Store, testGroup)
	w.must(err)
	for _, s := range segments[:len(segments)-1] {
		w.must(w.archive.Store.Delete(t.Context(), s.Key()))
	}
	if _, err := w.archive.Chain(t.Context(), testGroup, at); err != nil {
		t.Errorf("the image's time cannot be brought back: %v", err)
	}
	if c, err := w.archive.Chain(t.Context(), testGroup, at+1); !errors.Is(err, ErrGap) {
		t.Errorf("a time behind it gives %+v: %v", c, err)
	}
}

// TestALostLogIsAGapThatAnImageEnds: what was gone before it was archived is recorded,
// and the archive goes on.
func TestALostLogIsAGapThatAnImageEnds(t *testing.T) {
	w := newWorld(t, 3)
	w.archived(true)
	w.deliver(w.ids[0], 1)
	within := w.group.Time()
	w.lost = rookery.LogIndex(len(w.log))
	w.deliver(w.ids[0], 1)
	w.archived(true) // finds the gap
	w.deliver(w.ids[0], 1)
	w.archived(true)
	if g := w.archiver.Position().Gap; g == nil || g.From == 0 || g.To <= g.From {
		t.Errorf("the gap on record is %+v", g)
	}
	if got, err := w.then(w.ids[0], w.group.Time()); err != nil || got != w.liveNow(w.ids[0]) {
		t.Errorf("behind the gap the account is not as it is: %v", err)
	}
	_, err := w.then(w.ids[0], within)
	var g *Gap
	if !errors.As(err, &g) || g.Before.UnixNano() >= within || g.After.UnixNano() <= within {
		t.Errorf("within the gap: %v", err)
	}
}

// TestNoAnswerMakesNoDouble: a segment that was written while its word was lost is
// written again, and its entries count once.
func TestNoAnswerMakesNoDouble(t *testing.T) {
	w := newWorld(t, 4)
	w.archived(true)
	for n := range 6 {
		w.deliver(w.ids[0], 1)
		if n%2 == 0 {
			w.fault = func() error { return rookery.E("propose", rookery.KindUnknown, errors.New("no answer")) }
			w.archived(true)
			w.fault = nil
		}
	}
	w.newArchiver()
	w.archived(true)
	if got, err := w.then(w.ids[0], w.group.Time()); err != nil || got != w.liveNow(w.ids[0]) {
		t.Errorf("%v\n%s", err, cmp.Diff(w.liveNow(w.ids[0]), got))
	}
}

// TestAGarbledArchiveIsNamed: whatever is changed, cut or swapped in an object that is
// needed, the restore fails and names it.
func TestAGarbledArchiveIsNamed(t *testing.T) {
	w := newWorld(t, 5)
	w.archived(true)
	w.deliver(w.ids[0], 1)
	w.archived(true)
	w.deliver(w.ids[0], 1)
	w.archived(true)
	at := w.group.Time()
	segments, err := archive.Segments(t.Context(), w.archive.Store, testGroup)
	w.must(err)
	images, err := archive.Images(t.Context(), w.archive.Store, testGroup)
	w.must(err)
	for _, key := range []string{segments[0].Key(), images[0].Key(), images[0].Part(0)} {
		good := w.object(key)
		for name, bad := range map[string][]byte{
			"a bit is flipped": flip(good, len(good)/2), "its first bit is flipped": flip(good, 9), "its end is flipped": flip(good, len(good)-20),
			"it is cut": good[:len(good)-1], "it is empty": {}, "it is another object": w.object(segments[1].Key()),
		} {
			w.replace(key, bad)
			if _, err := w.then(w.ids[0], at); !rookery.Is(err, rookery.KindDamaged) || !contains(err, key) {
				t.Errorf("%s: %s: %v", key, name, err)
			}
		}
		w.replace(key, good)
	}
	if _, err := w.then(w.ids[0], at); err != nil {
		t.Fatal(err)
	}
	w.archive.Cluster = "c2"
	if _, err := w.then(w.ids[0], at); !rookery.Is(err, rookery.KindDamaged) {
		t.Errorf("another cluster reads the archive: %v", err)
	}
}

// TestBeforeTheFirstImage: the answer names the first second that can be restored.
func TestBeforeTheFirstImage(t *testing.T) {
	w := newWorld(t, 6)
	early := w.group.Time()
	w.deliver(w.ids[0], 1)
	w.archived(true)
	_, err := w.then(w.ids[0], early)
	var g *Gap
	if !errors.As(err, &g) || g.After.UnixNano() <= early {
		t.Errorf("%v", err)
	}
	_, err = w.then(rookery.AccountID{9}, w.group.Time())
	if !rookery.Is(err, rookery.KindNotFound) || errors.Is(err, ErrGap) {
		t.Errorf("an account that never was: %v", err)
	}
}
