package verify

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rookery"
	"rookery/backup/archive"
	"rookery/backup/past"
	"rookery/storage/blob"
)

// TestASoundArchiveIsSound: nothing is found in what the archiver writes, also where a
// leader's word was lost and entries are there twice.
func TestASoundArchiveIsSound(t *testing.T) {
	w := newWorld(t)
	w.history()
	w.deliver()
	w.fault = rookery.E("propose", rookery.KindUnknown, errors.New("no answer"))
	w.archived(false)
	w.fault = nil
	w.deliver()
	w.newArchiver()
	w.archived(false)
	chain := archive.Chain{Cluster: "c1", Store: w.archive.Store, Keys: w.archive.Keys}
	for range 3 {
		w.must(chain.Write(t.Context(), 0, []archive.GroupPoint{{Group: 2, Upto: 1, Complete: 1}}, true))
	}
	w.replace("keys/abc.json", []byte("x"))
	w.replace("c/c1", []byte("x"))
	found, r := w.verify()
	if len(found) > 0 || r.Findings+r.Gaps+r.Unchecked > 0 {
		t.Errorf("%+v %+v", found, r)
	}
	twice := false
	all := w.segments()
	for i := range all[1:] {
		twice = twice || all[i+1].First <= all[i].Last
	}
	if r.Images != 3 || r.Segments != len(all) || r.Bytes == 0 || !twice {
		t.Errorf("%+v of %d segments; some overlap: %v", r, len(all), twice)
	}
}

// restorable asks the reader of the archive for a time.
func (w *world) restorable(at time.Time) bool {
	_, err := past.Open(w.t.Context(), past.Options{Archive: w.archive, Dir: w.t.TempDir(), Group: w.id, Account: rookery.AccountID{1},
		At: at.UnixNano()})
	return err == nil
}

// TestEveryDamageIsNamed: whatever is changed in any object, it is named, and the span
// that is said to be lost is the one that the reader of the archive cannot bring back.
func TestEveryDamageIsNamed(t *testing.T) {
	w := newWorld(t)
	w.history()
	other := newWorldIn(t, openStore(t), "c2", 2)
	other.history()
	images, segments := w.images(), w.segments()
	keys := []string{segments[0].Key(), segments[4].Key(), segments[len(segments)-1].Key()}
	for i := range images {
		keys = append(keys, images[i].Key(), images[i].Part(0))
	}
	lost := 0
	for _, key := range keys {
		good := w.object(key)
		neighbour, foreign := segments[1].Key(), other.segments()[1].Key()
		if strings.HasPrefix(key, "img/") {
			neighbour, foreign = images[1].Key(), other.images()[0].Key()
			if strings.Contains(key, "part") {
				neighbour, foreign = images[1].Part(0), other.images()[0].Part(0)
			}
			if neighbour == key {
				neighbour = strings.Replace(key, key, images[0].Key(), 1)
			}
		}
		for name, bad := range map[string][]byte{
			"cut": good[:len(good)-1], "cut short": good[:20], "empty": {}, "longer": append(good[:len(good):len(good)], 0),
			"a bit": flip(good, len(good)/2), "the first frame": flip(good, 9), "its end": flip(good, len(good)-20),
			"another of this archive": w.object(neighbour), "another cluster's": other.object(foreign), "missing": nil,
		} {
			w.replace(key, bad)
			found, r := w.verify()
			if f := about(found, key); f == nil && name != "missing" {
				t.Errorf("%s: %s: %+v", key, name, found)
			} else if f == nil && strings.Contains(key, "part") {
				t.Errorf("%s is missing: %+v", key, found)
			} else if f != nil && (f.Group != 2 || f.Detail == "" || f.Mend == "") {
				t.Errorf("%s: %s: it says too little: %+v", key, name, f)
			}
			if len(found) > 2 || r.Findings != len(found) {
				t.Errorf("%s: %s: %+v %+v", key, name, r, found)
			}
			if name == "a bit" || name == "missing" {
				lost += w.compare(key+" "+name, found)
			}
		}
		w.replace(key, good)
	}
	if found, _ := w.verify(); len(found) > 0 || lost == 0 {
		t.Errorf("all is as it was, and %+v is found; %d seconds were lost in all", found, lost)
	}
}

func about(found []Finding, key string) *Finding {
	for i := range found {
		if found[i].Key == key {
			return &found[i]
		}
	}
	return nil
}

// compare compares what is said to be lost with what can be brought back, second by
// second, from the first image on.
func (w *world) compare(what string, found []Finding) (lost int) {
	w.t.Helper()
	first := time.Unix(0, w.images()[0].Time)
	for at := first; !at.After(w.now); at = at.Add(time.Second) {
		said := false
		for _, f := range found {
			if f.Lost && at.After(f.From) && (f.To.IsZero() || at.Before(f.To)) || f.Lost && at.Equal(f.From) && !w.restorable(at) {
				said = true
			}
		}
		if is := w.restorable(at); is == said {
			w.t.Errorf("%s: %s can be brought back: %v; said to be lost: %v by %+v", what, at.UTC(), is, said, found)
		}
		if said {
			lost++
		}
	}
	return lost
}

// TestAnUnreadableVersionIsUnkept: an object under a key that nobody has is told apart
// from a damaged one.
func TestAnUnreadableVersionIsUnkept(t *testing.T) {
	w := newWorld(t)
	w.history()
	key := w.segments()[3].Key()
	b := w.object(key)
	w.replace(key, flip(b, len(b)-25)) // the version's last byte
	if found, _ := w.verify(); len(found) != 1 || found[0].Key != key || found[0].Fault != Unkept || !found[0].Lost {
		t.Errorf("%+v", found)
	}
}

// TestForeignNamesAreTold: what is no object of an archive, or no part of its image.
func TestForeignNamesAreTold(t *testing.T) {
	w := newWorld(t)
	w.history()
	s, i := w.segments()[2], w.images()[1]
	for _, key := range []string{"seg/00000002/notes", "img/readme", "b/ab/2/x.pk", "cute", i.Part(7), i.Prefix() + "other",
		strings.ToUpper(s.Key()[:0]) + "seg/00000002/" + strings.Repeat("0", 16)} {
		w.replace(key, []byte("hello"))
		found, _ := w.verify()
		if len(found) != 1 || found[0].Key != key || found[0].Fault != Foreign || found[0].Lost {
			t.Errorf("%s: %+v", key, found)
		}
		w.replace(key, nil)
	}
}

// TestReplayedUnderAnotherNameIsNamed: a segment that is copied to a name of other
// entries, or of none that there were, does not pass for one.
func TestReplayedUnderAnotherNameIsNamed(t *testing.T) {
	w := newWorld(t)
	w.history()
	old := w.segments()[1]
	last := w.segments()[len(w.segments())-1]
	next := archive.SegmentInfo{Group: 2, First: last.Last + 1, Last: last.Last + 3, From: last.To + 1, To: last.To + 2}
	w.replace(next.Key(), w.object(old.Key()))
	if found, _ := w.verify(); len(found) != 1 || found[0].Key != next.Key() || found[0].Fault != Damaged || !found[0].Lost ||
		found[0].From.UnixNano() != last.To || !found[0].To.IsZero() {
		t.Errorf("%+v", found)
	}
	w.replace(next.Key(), nil)
	again := w.images()[0]
	again.Index++
	w.replace(again.Key(), w.object(w.images()[0].Key()))
	if found, _ := w.verify(); len(found) != 1 || found[0].Key != again.Key() || found[0].Lost {
		t.Errorf("%+v", found)
	}
}

// TestDoublesThatDifferAreNamed: two segments that say different things of one entry.
func TestDoublesThatDifferAreNamed(t *testing.T) {
	back := openStore(t)
	a, b := newWorldIn(t, back, "c1", 2), newWorldIn(t, openStore(t), "c1", 2)
	a.archived(false)
	b.archived(false)
	a.deliver()
	b.clock += 5
	b.deliver()
	b.deliver()
	a.archived(false)
	b.archived(false)
	if found, _ := a.verify(); len(found) > 0 {
		t.Fatalf("%+v", found)
	}
	segments := b.segments()
	for _, s := range segments {
		a.replace(s.Key(), b.object(s.Key()))
	}
	if found, _ := a.verify(); len(found) == 0 || found[0].Fault != Differs {
		t.Errorf("%+v", found)
	}
}

// TestAGapThatIsOnRecord is told, and is no damage.
func TestAGapThatIsOnRecord(t *testing.T) {
	w := newWorld(t)
	w.archived(false)
	w.deliver()
	w.archived(false)
	w.lost = rookery.LogIndex(len(w.log)) + 1
	w.deliver()
	w.archived(false)
	if found, r := w.verify(); len(found) != 1 || found[0].Fault != Gap || found[0].To.UnixNano() != w.images()[1].Time || r.Findings != 0 {
		t.Errorf("with nothing behind it: %+v %+v", r, found)
	}
	w.deliver()
	w.archived(false)
	found, r := w.verify()
	if len(found) != 1 || found[0].Fault != Gap || !found[0].Lost || !found[0].To.After(found[0].From) || r.Findings != 0 || r.Gaps != 1 {
		t.Errorf("%+v %+v", r, found)
	}
	w.compare("a gap", found)
}

// TestALostFirstImage: the segments that need it tell that it was there.
func TestALostFirstImage(t *testing.T) {
	w := newWorld(t)
	w.deliver()
	w.archived(false)
	for range 3 {
		w.deliver()
		w.archived(false)
	}
	w.clock += int64(2 * time.Minute)
	w.deliver()
	w.archived(true)
	w.history()
	if found, _ := w.verify(); len(found) > 0 {
		t.Fatalf("%+v", found)
	}
	first, second := w.images()[0], w.images()[1]
	written := func(key string) time.Time {
		i, err := w.archive.Store.Stat(t.Context(), key)
		w.must(err)
		return i.Modified
	}
	for !written(second.Key()).After(written(w.segments()[0].Key())) { // the disk's clock is coarse
		w.replace(second.Key(), w.object(second.Key()))
	}
	w.replace(first.Key(), nil)
	found, _ := w.verify()
	if len(found) != 1 || found[0].Fault != Missing || !found[0].Lost || !strings.HasPrefix(first.Key(), found[0].Key) ||
		found[0].To.UnixNano() != w.images()[0].Time {
		t.Errorf("%+v", found)
	}
	for _, i := range w.images() {
		w.replace(i.Key(), nil)
	}
	if found, _ := w.verify(); len(found) != 1 || found[0].Fault != Missing || !found[0].Lost {
		t.Errorf("no image at all: %+v", found)
	}
}

// TestPointsBeforeTheWindow need no segment, and are each worth their own second.
func TestPointsBeforeTheWindow(t *testing.T) {
	w := newWorld(t)
	w.history()
	images := w.images()
	for _, s := range w.segments() {
		if s.Last <= images[1].Index {
			w.replace(s.Key(), nil)
		}
	}
	o := w.options()
	o.Rules.Window = w.now.Sub(time.Unix(0, images[1].Time))
	if found, _, err := w.run(t.Context(), o); err != nil || len(found) > 0 {
		t.Errorf("%+v %v", found, err)
	}
	w.replace(images[0].Part(0), nil)
	at := time.Unix(0, images[0].Time)
	if found, _, err := w.run(t.Context(), o); err != nil || len(found) != 1 || !found[0].Lost || !found[0].From.Equal(at) ||
		!found[0].To.Equal(at) {
		t.Errorf("%+v %v", found, err)
	}
}

// TestCheckpointsAreOpened: a changed one is named, and one that replaced another.
func TestCheckpointsAreOpened(t *testing.T) {
	w := newWorld(t)
	w.history()
	chain := archive.Chain{Cluster: "c1", Store: w.archive.Store, Keys: w.archive.Keys}
	for range 3 {
		w.must(chain.Write(t.Context(), 0, []archive.GroupPoint{{Group: 2, Upto: 1, Complete: 1}}, true))
	}
	var keys []string
	w.must(w.archive.Store.List(t.Context(), "cut/", func(i blob.Info) error { keys = append(keys, i.Key); return nil }))
	for _, key := range keys {
		good := w.object(key)
		w.replace(key, flip(good, len(good)/2))
		if found, _ := w.verify(); len(found) != 1 || found[0].Key != key || found[0].Lost {
			t.Errorf("%s: %+v", key, found)
		}
		w.replace(key, good)
	}
}

// counting is a store that counts reads under way, ends a context after some, or does not
// answer.
type counting struct {
	blob.Store
	now, most, all atomic.Int64
	after          int64
	then           func()
	fail           error
}

func (c *counting) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	c.most.Store(max(c.most.Load(), c.now.Add(1)))
	defer c.now.Add(-1)
	if c.all.Add(1) == c.after {
		c.then()
	}
	if c.fail != nil && c.all.Load() > c.after {
		return nil, c.fail
	}
	return c.Store.Get(ctx, key, off, n)
}

// TestARunEndsWithItsContext, reads a few objects at a time, and does not take a store
// that does not answer for damage.
func TestARunEndsWithItsContext(t *testing.T) {
	w := newWorld(t)
	for range 6 {
		w.history()
	}
	ctx, cancel := context.WithCancel(t.Context())
	c := &counting{Store: w.archive.Store, after: 20, then: cancel}
	w.archive.Store = c
	found, _, err := w.run(ctx, w.options())
	if !errors.Is(err, context.Canceled) || len(found) > 0 || c.all.Load() > 20+atOnce {
		t.Errorf("%v after %d reads: %+v", err, c.all.Load(), found)
	}
	c.after, c.then = 10, func() {}
	c.all.Store(0)
	c.fail = rookery.E("get", rookery.KindUnavailable, errors.New("503"))
	if found, _, err := w.run(t.Context(), w.options()); !rookery.Is(err, rookery.KindUnavailable) || len(found) > 0 {
		t.Errorf("%v: %+v", err, found)
	}
	c.fail = nil
	c.most.Store(0)
	if found, _, err := w.run(t.Context(), w.options()); err != nil || len(found) > 0 || c.most.Load() > atOnce {
		t.Errorf("%v: %+v, %d at once", err, found, c.most.Load())
	}
}
