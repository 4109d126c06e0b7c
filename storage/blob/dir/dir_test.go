package dir

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rookery"
	"rookery/storage/blob"
	"rookery/storage/blob/blobtest"
)

func open(t *testing.T, name string) *Store {
	t.Helper()
	s, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	name := t.TempDir()
	blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, name) })
	left, err := os.ReadDir(filepath.Join(name, tempDir))
	if err != nil || len(left) != 0 {
		t.Errorf("temporary files remain: %v, %v", left, err)
	}
}

func TestLinksOutOfTheRootAreRefused(t *testing.T) {
	outside, name := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, name)
	for link, target := range map[string]string{"d": outside, "f": filepath.Join(outside, "secret")} {
		if err := os.Symlink(target, filepath.Join(name, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"d/secret", "f"} {
		if r, err := s.Get(t.Context(), key, 0, -1); err == nil {
			r.Close()
			t.Errorf("Get(%s) left the root", key)
		}
	}
	if err := s.Put(t.Context(), "d/new", bytes.NewReader(nil), 0, blob.PutOptions{}); err == nil {
		t.Error("Put left the root")
	}
	if err := s.Put(t.Context(), "f", bytes.NewReader([]byte("mine")), 4, blob.PutOptions{}); err != nil {
		t.Errorf("Put over a link: %v", err) // replaces the link itself
	}
	if b, _ := os.ReadFile(filepath.Join(outside, "secret")); string(b) != "x" {
		t.Error("the file outside has changed")
	}
	if err := s.List(t.Context(), "", func(i blob.Info) error {
		if i.Key != "f" {
			t.Errorf("List shows %s", i.Key)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func TestLeftovers(t *testing.T) {
	name := t.TempDir()
	open(t, name)
	old, young := filepath.Join(name, tempDir, "old"), filepath.Join(name, tempDir, "young")
	for _, f := range []string{old, young} {
		if err := os.WriteFile(f, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-leftoverAge - time.Hour)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	s := open(t, name)
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old leftover stays: %v", err)
	}
	if _, err := os.Stat(young); err != nil {
		t.Errorf("the young one, perhaps another process's, has gone: %v", err)
	}
	if err := s.List(t.Context(), "", func(i blob.Info) error { t.Errorf("List shows %s", i.Key); return nil }); err != nil {
		t.Error(err)
	}
}

func TestKeyBelowKey(t *testing.T) {
	s := open(t, t.TempDir())
	put := func(key string) error {
		return s.Put(t.Context(), key, bytes.NewReader([]byte("x")), 1, blob.PutOptions{})
	}
	if err := put("a/b"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "a/b/c"} {
		if err := put(key); !rookery.Is(err, rookery.KindInvalid) {
			t.Errorf("Put(%s) beside a/b: %v", key, err)
		}
	}
	if _, err := s.Get(t.Context(), "a", 0, -1); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("Get of a directory: %v", err)
	}
	if err := s.Delete(t.Context(), "a", "a/b/c"); err != nil {
		t.Errorf("Delete of what is no object: %v", err)
	}
}

func TestFileCutShortWhileRead(t *testing.T) {
	name := t.TempDir()
	s := open(t, name)
	if err := s.Put(t.Context(), "x", bytes.NewReader(make([]byte, 100)), 100, blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	r, err := s.Get(t.Context(), "x", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.Truncate(filepath.Join(name, "x"), 50); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); !rookery.Is(err, rookery.KindDamaged) {
		t.Errorf("reading: %v", err)
	}
}

func TestFailedPutLeavesNothing(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.Put(t.Context(), "x", bytes.NewReader(make([]byte, 1000)), 2000, blob.PutOptions{}); err == nil {
		t.Fatal("no error")
	}
	if _, err := s.Stat(t.Context(), "x"); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("Stat: %v", err)
	}
}
