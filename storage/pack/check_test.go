package pack_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"rookery"
	"rookery/storage/account/accounttest"
	"rookery/storage/blob"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
	"rookery/storage/pack/check"
)

// run checks everything and gives what was found, with the faults in order.
func (r *rig) faults() (found []check.Finding, faults []string, c *check.Checker) {
	r.t.Helper()
	c = check.New(check.Options{Group: group, State: r.node.Machine(group), Store: r.blobs, Rate: 1 << 40,
		Found: func(f check.Finding) error {
			found = append(found, f)
			s := string(f.Fault)
			if f.Body != 0 {
				s += " body"
			}
			if !f.Needed {
				s += " unneeded"
			}
			faults = append(faults, s)
			return nil
		}})
	if err := c.Run(r.t.Context(), "", true, func(mailbox.Pack) bool { return true }, func(check.Progress) error { return nil }); err != nil {
		r.t.Fatal(err)
	}
	return found, faults, c
}

// object reads a pack's bytes, rewrite replaces them.
func (r *rig) object(key string) []byte {
	r.t.Helper()
	o, err := r.blobs.Store.Get(r.t.Context(), key, 0, -1)
	if err != nil {
		r.t.Fatal(err)
	}
	defer o.Close()
	b, err := io.ReadAll(o)
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

func (r *rig) rewrite(key string, b []byte) {
	r.t.Helper()
	if err := r.blobs.Store.Put(r.t.Context(), key, bytes.NewReader(b), int64(len(b)), blob.PutOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

func TestCheckFindsPlantedFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		plant func(r *rig, key string, x pack.Index, b []byte)
		want  []string
	}{
		{"nothing", func(*rig, string, pack.Index, []byte) {}, nil},
		{"missing", func(r *rig, key string, _ pack.Index, _ []byte) { r.blobs.Delete(r.t.Context(), key) },
			[]string{"missing", "place body", "place body"}},
		{"flipped byte", func(r *rig, key string, x pack.Index, b []byte) { b[x.Entries[1].Off+3] ^= 1; r.rewrite(key, b) },
			[]string{"digest body"}},
		{"flipped byte in the header", func(r *rig, key string, _ pack.Index, b []byte) { b[12] ^= 1; r.rewrite(key, b) },
			[]string{"header unneeded"}},
		{"flipped byte in the footer", func(r *rig, key string, _ pack.Index, b []byte) { b[len(b)-40] ^= 1; r.rewrite(key, b) },
			[]string{"footer", "place body", "place body"}},
		{"flipped byte in the trailer", func(r *rig, key string, _ pack.Index, b []byte) { b[len(b)-1] ^= 1; r.rewrite(key, b) },
			[]string{"footer", "place body", "place body"}},
		{"truncated", func(r *rig, key string, _ pack.Index, b []byte) { r.rewrite(key, b[:len(b)-7]) },
			[]string{"size", "place body", "place body"}},
		{"too long", func(r *rig, key string, _ pack.Index, b []byte) { r.rewrite(key, append(b, 0)) },
			[]string{"size", "place body", "place body"}},
		{"another pack's object", func(r *rig, key string, x pack.Index, b []byte) {
			w := pack.NewWriter(group, "another", 0)
			for _, e := range x.Entries {
				w.Add(e.Body, e.Layout, e.Len, func(p []byte, off int64) error { copy(p, b[e.Off+off:]); return nil })
			}
			o := w.Finish() // the name is shorter: padding keeps the size
			r.rewrite(key, append(o, make([]byte, len(b)-len(o))...))
		}, []string{"header unneeded", "footer", "place body", "place body"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, accounttest.Options{})
			r.deliver(2000, 3000)
			_, stop := r.start()
			r.untilPacked()
			stop()
			r.deliver(5000) // in no pack: nothing to find
			xs := r.objects()
			if len(xs) != 1 {
				t.Fatalf("%d packs, want one", len(xs))
			}
			key := pack.Key(group, xs[0].ID)
			c.plant(r, key, xs[0], r.object(key))
			found, faults, checker := r.faults()
			if !slices.Equal(faults, c.want) {
				t.Fatalf("found %q, want %q: %+v", faults, c.want, found)
			}
			bad := 0
			for _, f := range found {
				if f.Group != group || f.Pack != xs[0].ID {
					t.Errorf("names group %d pack %q", f.Group, f.Pack)
				}
				if f.Body != 0 {
					bad++
				}
			}
			if len(checker.Needed()) != bad {
				t.Errorf("needed are %v, of %d bad bodies", checker.Needed(), bad)
			}
		})
	}
}

func TestCheckFindsBodiesAstray(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	r.deliver(2000, 3000)
	_, stop := r.start()
	r.untilPacked()
	stop()
	x := r.objects()[0]
	b := r.object(pack.Key(group, x.ID))
	id := pack.NewID(time.Now())
	w := pack.NewWriter(group, id, 0)
	first, second := x.Entries[0], x.Entries[1]
	if err := w.Add(first.Body, first.Layout, first.Len,
		func(p []byte, off int64) error { copy(p, b[first.Off+off:]); return nil }); err != nil {
		t.Fatal(err)
	}
	object := w.Finish()
	r.rewrite(pack.Key(group, id), object)
	// The state says that both moved, the first to a wrong offset.
	if err := r.node.Propose(t.Context(), group, &command.Packed{Pack: id, Size: int64(len(object)), Bodies: []command.PackedBody{
		{Body: first.Body, Off: 7, Len: first.Len}, {Body: second.Body, Off: 90, Len: 100}}}); err != nil {
		t.Fatal(err)
	}
	if _, faults, _ := r.faults(); !slices.Equal(faults, []string{"place body", "place body"}) {
		t.Errorf("found %q", faults)
	}
}

// A large pack is not read whole into memory, and its body is checked too.
func TestCheckStreamsLargePacks(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	r.deliver(17 << 20)
	_, stop := r.start()
	r.untilPacked()
	stop()
	if _, faults, _ := r.faults(); len(faults) > 0 {
		t.Fatalf("found %q in a good pack", faults)
	}
	x := r.objects()[0]
	b := r.object(pack.Key(group, x.ID))
	b[len(b)/2] ^= 0x80
	r.rewrite(pack.Key(group, x.ID), b)
	if _, faults, _ := r.faults(); !slices.Equal(faults, []string{"digest body"}) {
		t.Errorf("found %q", faults)
	}
}

func TestCheckGoesOnAndStops(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	_, stop := r.start()
	for i := range 6 {
		r.deliver(100 + i)
		r.untilPacked()
	}
	stop()
	xs := r.objects()
	slices.SortFunc(xs, func(a, b pack.Index) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) })
	run := func(after command.PackID) (last check.Progress, err error) {
		c := check.New(check.Options{Group: group, State: r.node.Machine(group), Store: r.blobs, Rate: 1 << 40})
		err = c.Run(t.Context(), after, false, func(p mailbox.Pack) bool { return p.ID != xs[5].ID },
			func(p check.Progress) error { last = p; return nil })
		return last, err
	}
	if got, err := run(xs[2].ID); err != nil || got.Packs != 2 || got.Passed != 1 || got.Of != 3 || got.Pack != xs[5].ID {
		t.Errorf("behind the third of six: %+v, %v", got, err)
	}
	fails := 1
	r.blobs.set(func(f *faulty) {
		f.get = func(do func() (io.ReadCloser, error)) (io.ReadCloser, error) {
			if fails--; fails >= 0 {
				return nil, errFault
			}
			return do()
		}
	})
	if got, err := run(""); err != nil || got.Unchecked != 1 || got.Packs != 4 {
		t.Errorf("one failure: %+v, %v", got, err)
	}
	fails = 1 << 20
	if got, err := run(""); !rookery.Is(err, rookery.KindUnavailable) || got.Unchecked != 2 {
		t.Errorf("a store that is away: %+v, %v", got, err)
	}
}

// A pack that is cleared away while it is checked is not lost.
func TestCheckKnowsWhatWasClearedAway(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	r.deliver(1000)
	_, stop := r.start()
	r.untilPacked()
	stop()
	x := r.objects()[0]
	stale := &staleState{State: r.node.Machine(group)}
	var found []check.Finding
	c := check.New(check.Options{Group: group, State: stale, Store: r.blobs,
		Sync:  func(context.Context) error { stale.gone = x.ID; return nil },
		Found: func(f check.Finding) error { found = append(found, f); return nil }})
	if err := r.blobs.Delete(t.Context(), pack.Key(group, x.ID)); err != nil {
		t.Fatal(err)
	}
	if err := c.Run(t.Context(), "", false, func(mailbox.Pack) bool { return true },
		func(check.Progress) error { return nil }); err != nil || len(found) > 0 {
		t.Errorf("found %v, %v", found, err)
	}
}

// staleState is a replica that hears only at a Sync that a pack is gone.
type staleState struct {
	check.State
	gone command.PackID
}

func (s *staleState) Pack(id command.PackID) (mailbox.Pack, error) {
	if id == s.gone {
		return mailbox.Pack{}, rookery.E("test", rookery.KindNotFound, fmt.Errorf("pack %s is gone", id))
	}
	return s.State.Pack(id)
}

// A check reads no faster than it may.
func TestCheckKeepsItsRate(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	r.deliver(8000)
	_, stop := r.start()
	r.untilPacked()
	stop()
	c := check.New(check.Options{Group: group, State: r.node.Machine(group), Store: r.blobs, Rate: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := c.Run(ctx, "", false, func(mailbox.Pack) bool { return true }, func(check.Progress) error { return nil })
	if !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("8 KB at one byte a second took less than 50 ms: %v", err)
	}
}

// A sample that reads nothing still finds objects that are missing or cut, by a
// listing; with all in place it asks for none of them.
func TestSampleFindsMissingObjects(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	_, stop := r.start()
	for i := range 5 {
		r.deliver(100 + i)
		r.untilPacked()
	}
	stop()
	stats := &statCounter{Store: r.blobs.Store}
	run := func() (faults []string) {
		c := check.New(check.Options{Group: group, State: r.node.Machine(group), Store: stats,
			Found: func(f check.Finding) error {
				if f.Body == 0 {
					faults = append(faults, string(f.Fault))
				}
				return nil
			}})
		if err := c.Run(t.Context(), "", false, func(mailbox.Pack) bool { return false }, func(check.Progress) error { return nil }); err != nil {
			t.Fatal(err)
		}
		slices.Sort(faults)
		return faults
	}
	if got := run(); len(got) > 0 || stats.n != 0 {
		t.Errorf("all in place: %q, %d objects asked for", got, stats.n)
	}
	xs := r.objects()
	if err := r.blobs.Delete(t.Context(), pack.Key(group, xs[1].ID)); err != nil {
		t.Fatal(err)
	}
	b := r.object(pack.Key(group, xs[3].ID))
	r.rewrite(pack.Key(group, xs[3].ID), b[:len(b)-1])
	if got := run(); !slices.Equal(got, []string{"missing", "size"}) || stats.n != 5 {
		t.Errorf("found %q, %d objects asked for", got, stats.n)
	}
}

type statCounter struct {
	blob.Store
	n int
}

func (s *statCounter) Stat(ctx context.Context, key string) (blob.Info, error) {
	s.n++
	return s.Store.Stat(ctx, key)
}
