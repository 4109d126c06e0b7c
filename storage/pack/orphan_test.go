package pack_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"rookery"
	"rookery/storage/account/accounttest"
	"rookery/storage/blob"
	"rookery/storage/blob/dir"
	"rookery/storage/command"
	"rookery/storage/pack"
)

// sweep runs one over the rig's store, where the group's state is asked as a
// node asks it.
func (r *rig) sweep(act bool, found func(pack.Orphan)) (pack.Swept, error) {
	r.t.Helper()
	if err := pack.Claim(r.t.Context(), r.blobs.Store, "CLUSTER1"); err != nil {
		r.t.Fatal(err)
	}
	return pack.Sweep(r.t.Context(), r.sweepOptions(act, found))
}

func (r *rig) sweepOptions(act bool, found func(pack.Orphan)) pack.SweepOptions {
	return pack.SweepOptions{
		Store: r.blobs.Store, Cluster: "CLUSTER1", Delete: act, Before: r.clock().Add(-24 * time.Hour),
		Strangers: func(ctx context.Context, g rookery.GroupID, ids []command.PackID) ([]command.PackID, error) {
			if g != group {
				return nil, rookery.E("test", rookery.KindNotFound, errors.New("no such group"))
			}
			if err := r.node.Propose(ctx, g, &command.NamePacks{Life: int64(24 * time.Hour)}); err != nil { // group time moves on
				return nil, err
			}
			return r.node.Machine(g).Strangers(ids)
		},
		Found: func(o pack.Orphan) error {
			if found != nil {
				found(o)
			}
			return nil
		},
		Progress: func(pack.Swept) error { return nil },
	}
}

func (r *rig) place(key string) {
	r.t.Helper()
	if err := r.blobs.Store.Put(r.t.Context(), key, bytes.NewReader([]byte("x")), 1, blob.PutOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) keys() (keys []string) {
	r.t.Helper()
	if err := r.blobs.Store.List(r.t.Context(), "b/", func(i blob.Info) error { keys = append(keys, i.Key); return nil }); err != nil {
		r.t.Fatal(err)
	}
	slices.Sort(keys)
	return keys
}

func TestSweep(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	r.deliver(10)
	_, stop := r.start()
	r.untilPacked()
	stop()
	known := r.keys()[0]
	lost := []string{pack.Key(group, pack.NewID(r.clock())), pack.Key(group, pack.NewID(r.clock()))}
	others := []string{"b/00/x/y.pk", "b/zz", "b/00/no77", pack.Key(77, pack.NewID(r.clock())), pack.Key(group, "noname"), "v1/backup"}
	for _, k := range slices.Concat(lost, others) {
		r.place(k)
	}
	slices.Sort(lost)
	if s, err := r.sweep(true, nil); err != nil || s.Orphans != 0 || s.Young != 4 {
		t.Fatalf("%+v, %v: young ones were taken for orphans", s, err)
	}
	r.ahead.Store(int64(25 * time.Hour))
	young := pack.Key(group, pack.NewID(r.clock()))
	r.place(young)
	var found []string
	s, err := r.sweep(false, func(o pack.Orphan) { found = append(found, o.Key) })
	slices.Sort(found)
	if err != nil || !slices.Equal(found, lost) || s.Orphans != 2 || s.Bytes != 2 || s.Deleted != 0 || s.Young != 1 || s.Parts != s.PartsOf {
		t.Errorf("found %v, want %v; %+v, %v", found, lost, s, err)
	}
	if len(r.keys()) != 2+2+len(others)-1 {
		t.Errorf("a dry run left %v", r.keys())
	}
	if s, err := r.sweep(true, nil); err != nil || s.Deleted != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	want := slices.Sorted(slices.Values(append(slices.Clone(others[:5]), known, young)))
	if got := r.keys(); !slices.Equal(got, want) {
		t.Errorf("left %v, want %v", got, want)
	}
	r.check()
}

// A group that cannot answer keeps every object, of other groups too.
func TestSweepInDoubtDeletesNothing(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	for g := range rookery.GroupID(40) {
		r.place(pack.Key(g, pack.NewID(r.clock())))
	}
	r.ahead.Store(int64(25 * time.Hour))
	if err := pack.Claim(t.Context(), r.blobs.Store, "CLUSTER1"); err != nil {
		t.Fatal(err)
	}
	doubt := rookery.E("test", rookery.KindUnavailable, errors.New("no quorum"))
	asked := 0
	o := r.sweepOptions(true, nil)
	o.Strangers = func(_ context.Context, _ rookery.GroupID, ids []command.PackID) ([]command.PackID, error) {
		if asked++; asked == 39 {
			return nil, doubt
		}
		return ids, nil
	}
	if _, err := pack.Sweep(t.Context(), o); !errors.Is(err, doubt) {
		t.Errorf("%v", err)
	}
	if n := len(r.keys()); n != 40 {
		t.Errorf("%d objects are left of 40", n)
	}
	o.Strangers = func(_ context.Context, _ rookery.GroupID, ids []command.PackID) ([]command.PackID, error) {
		return append(ids, pack.NewID(time.Now())), nil
	}
	if _, err := pack.Sweep(t.Context(), o); err == nil || len(r.keys()) != 40 {
		t.Errorf("%v: an answer about what was not asked is doubt", err)
	}
}

func TestSweepKeepsOffAnotherClustersPlace(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	r.place(pack.Key(group, pack.NewID(r.clock())))
	r.ahead.Store(int64(25 * time.Hour))
	if _, err := pack.Sweep(t.Context(), r.sweepOptions(true, nil)); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("without a claim: %v", err)
	}
	if err := pack.Claim(t.Context(), r.blobs.Store, "other"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.sweep(true, nil); !rookery.Is(err, rookery.KindConflict) {
		t.Errorf("with another's claim: %v", err)
	}
	if len(r.keys()) != 1 {
		t.Error("another cluster's object was deleted")
	}
	if err := r.blobs.Store.Delete(t.Context(), "c/other"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.sweep(true, nil); err != nil || len(r.keys()) != 0 {
		t.Errorf("%v, %v", r.keys(), err)
	}
}

func TestSweepAbortsAbandonedUploads(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	name := t.TempDir()
	s, err := dir.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r.blobs.Store = s
	half := filepath.Join(name, ".incoming", "half")
	if err := os.WriteFile(half, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := r.sweep(true, nil); err != nil || s.Uploads != 0 {
		t.Errorf("%+v %v", s, err)
	}
	r.ahead.Store(int64(25 * time.Hour))
	if s, err := r.sweep(false, nil); err != nil || s.Uploads != 1 || s.Aborted != 0 {
		t.Errorf("%+v %v", s, err)
	}
	if s, err := r.sweep(true, nil); err != nil || s.Aborted != 1 {
		t.Errorf("%+v %v", s, err)
	}
	if _, err := os.Stat(half); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// A packer is stopped between the read-back and the group's word for longer than
// any grace; the sweep takes its object; the packer goes on.
func TestStalledPackerLosesNothing(t *testing.T) {
	resume, stalled := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	r := newRig(t, accounttest.Options{Before: func(_ rookery.GroupID, c command.Command) error {
		if _, ok := c.(*command.Packed); ok && once.CompareAndSwap(false, true) {
			close(stalled)
			<-resume
		}
		return nil
	}})
	r.deliver(10, 20, 30)
	p, stop := r.start()
	<-stalled
	first := r.keys()
	r.ahead.Store(int64(1000 * time.Hour))
	if s, err := r.sweep(true, nil); err != nil || s.Deleted != 1 || len(first) != 1 {
		t.Fatalf("%v: %+v, %v", first, s, err)
	}
	close(resume)
	r.untilPacked()
	r.until("the packer has packed again", func() bool { return p.Stats().Packs == 1 })
	stop()
	r.dropLog()
	r.check()
	if got := r.keys(); len(got) != 1 || got[0] == first[0] {
		t.Errorf("%v", got)
	}
}

// A pack whose PUT fails for longer than its name is good for is named anew.
func TestOldNamesAreGivenUpDuringAnOutage(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	r.blobs.set(func(f *faulty) { f.put = func(func() error) error { return errFault } })
	r.deliver(10)
	p, stop := r.start()
	r.until("the outage was met", func() bool { return p.Stats().Failures > 3 })
	r.ahead.Store(int64(100 * time.Hour))
	r.blobs.set(func(f *faulty) { f.put = nil })
	r.untilPacked()
	stop()
	if got := r.objects(); len(got) != 1 {
		t.Errorf("%+v", got)
	} else if at, _ := got[0].ID.Time(); r.clock().Sub(time.Unix(0, at)) > time.Hour {
		t.Errorf("pack %s kept its old name", got[0].ID)
	}
}
