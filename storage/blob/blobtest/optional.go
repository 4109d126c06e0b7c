package blobtest

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"rookery"
	"rookery/storage/blob"
)

// copies checks a blob.Copier.
func copies(t *testing.T, s blob.Store, dir string) {
	c, ok := s.(blob.Copier)
	if !ok {
		t.Skip("the driver has no server-side copy")
	}
	data := random(70_000)
	put(t, s, dir+"/from", data)
	put(t, s, dir+"/to", random(10))
	for _, to := range []string{"/new/x", "/to"} {
		if err := c.Copy(t.Context(), dir+"/from", dir+to); err != nil {
			t.Fatalf("Copy to %s: %v", to, err)
		}
		if got, err := get(t, s, dir+to, 0, -1); err != nil || !bytes.Equal(got, data) {
			t.Errorf("the copy %s has %d bytes, %v", to, len(got), err)
		}
	}
	if err := s.Delete(t.Context(), dir+"/from"); err != nil {
		t.Fatal(err)
	}
	if got, err := get(t, s, dir+"/to", 0, -1); err != nil || !bytes.Equal(got, data) {
		t.Errorf("without the original the copy has %d bytes, %v", len(got), err)
	}
	wantKind(t, "Copy of nothing", c.Copy(t.Context(), dir+"/none", dir+"/to"), rookery.KindNotFound)
	wantKind(t, "Copy to a bad key", c.Copy(t.Context(), dir+"/to", "../x"), rookery.KindInvalid)
}

func versionsOf(t *testing.T, v blob.Versions, prefix string) (all []blob.Version) {
	t.Helper()
	if err := v.ListVersions(t.Context(), prefix, func(x blob.Version) error { all = append(all, x); return nil }); err != nil {
		t.Fatalf("ListVersions: %v", err)
	}
	return all
}

// versions checks a blob.Versions on a store that keeps versions.
func versions(t *testing.T, s blob.Store, dir string) {
	v, ok := s.(blob.Versions)
	if !ok {
		t.Skip("the driver has no versions")
	}
	key := dir + "/x"
	put(t, s, key, random(10))
	put(t, s, key, random(20))
	if len(versionsOf(t, v, key)) == 1 {
		t.Skip("the store does not keep versions: versioning is off")
	}
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	_, err := s.Stat(t.Context(), key)
	wantKind(t, "Stat of a deleted object", err, rookery.KindNotFound)
	all := versionsOf(t, v, key)
	marker := slices.IndexFunc(all, func(x blob.Version) bool { return x.Deleted })
	if len(all) != 3 || marker < 0 || !all[marker].Latest {
		t.Fatalf("after two writes and a delete: %+v", all)
	}
	if err := v.DeleteVersion(t.Context(), key, all[marker].ID); err != nil {
		t.Fatalf("DeleteVersion of the marker: %v", err)
	}
	if info, err := s.Stat(t.Context(), key); err != nil || info.Size != 20 {
		t.Errorf("without the marker: %+v, %v", info, err)
	}
	for _, x := range versionsOf(t, v, key) {
		if err := v.DeleteVersion(t.Context(), key, x.ID); err != nil {
			t.Errorf("DeleteVersion: %v", err)
		}
	}
	if left := versionsOf(t, v, dir+"/"); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
}

// locks checks a blob.Locker on a store that can lock.
func locks(t *testing.T, s blob.Store, dir string) {
	l, ok := s.(blob.Locker)
	v, versioned := s.(blob.Versions)
	if !ok || !versioned {
		t.Skip("the driver has no object lock")
	}
	key := dir + "/x"
	put(t, s, key, random(10))
	if err := l.Hold(t.Context(), key, true); err != nil {
		t.Skipf("the store cannot lock objects: %v", err)
	}
	id := versionsOf(t, v, key)[0].ID
	wantKind(t, "DeleteVersion of a held object", v.DeleteVersion(t.Context(), key, id), rookery.KindDenied)
	if err := l.Hold(t.Context(), key, false); err != nil {
		t.Fatal(err)
	}
	if at, err := l.Retained(t.Context(), key); err != nil || !at.IsZero() {
		t.Errorf("retained until %v, %v before it was asked for", at, err)
	}
	until := time.Now().Add(time.Minute).UTC().Truncate(time.Second)
	if err := l.Retain(t.Context(), key, until); err != nil {
		t.Fatalf("Retain: %v", err)
	}
	if at, err := l.Retained(t.Context(), key); err != nil || !at.Equal(until) {
		t.Errorf("retained until %v, %v, want %v", at, err, until)
	}
	wantKind(t, "DeleteVersion of a retained object", v.DeleteVersion(t.Context(), key, id), rookery.KindDenied)
	if got, err := get(t, s, key, 0, -1); err != nil || len(got) != 10 {
		t.Errorf("a retained object reads as %d bytes, %v", len(got), err)
	}
}
