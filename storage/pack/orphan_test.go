package pack_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"rookery"
	"rookery/storage/account/accounttest"
	"rookery/storage/blob"
	"rookery/storage/command"
	"rookery/storage/pack"
)

func TestOrphans(t *testing.T) {
	r := newRig(t, accounttest.Options{})
	r.deliver(10)
	_, stop := r.start()
	r.untilPacked()
	stop()
	lost := pack.Key(group, pack.NewID(time.Now()))
	for _, key := range []string{lost, "b/00/x/y.pk", "b/zz"} {
		if err := r.blobs.Put(t.Context(), key, bytes.NewReader(nil), 0, blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	known := func(g rookery.GroupID, id command.PackID) (bool, error) {
		packs, err := r.node.Machine(g).Packs("", 100)
		for _, k := range packs {
			if k.ID == id {
				return true, nil
			}
		}
		return false, err
	}
	find := func(before time.Time) (keys []string) {
		if err := pack.Orphans(t.Context(), r.blobs, before, known, func(i blob.Info) error {
			keys = append(keys, i.Key)
			return nil
		}); err != nil {
			t.Error(err)
		}
		return keys
	}
	if got := find(time.Now().Add(time.Hour)); !slices.Equal(got, []string{lost}) {
		t.Errorf("orphans %v, want %s", got, lost)
	}
	if got := find(time.Now().Add(-time.Hour)); len(got) != 0 {
		t.Errorf("young objects taken for orphans: %v", got)
	}
	doubt := errors.New("no quorum")
	err := pack.Orphans(t.Context(), r.blobs, time.Now().Add(time.Hour),
		func(rookery.GroupID, command.PackID) (bool, error) { return false, doubt },
		func(i blob.Info) error { t.Errorf("%s in doubt", i.Key); return nil })
	if err != doubt {
		t.Errorf("%v", err)
	}
}
