package keys

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rookery"
)

// A key travels from one ring to another and is used only when it is said.
func TestTenantKeyTravels(t *testing.T) {
	a := GenerateKeyring()
	b := a.Clone()
	next := NewTenantKey(2)
	if err := a.Add(next); err != nil {
		t.Fatal(err)
	}
	if err := a.Add(next); err != nil {
		t.Errorf("a second time: %v", err)
	}
	if err := a.Add(NewTenantKey(2)); !rookery.Is(err, rookery.KindConflict) {
		t.Errorf("another key of the same version: %v", err)
	}
	if a.Current() != 1 {
		t.Errorf("current is %d before it is used", a.Current())
	}
	if err := b.Use(2); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("use of an unknown version: %v", err)
	}
	sent, ok := a.Tenant(2)
	if !ok || sent.Fingerprint() != next.Fingerprint() {
		t.Fatal("the ring gives another key")
	}
	got, err := ParseTenantKey(2, bytes.Clone(sent.Secret()))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Add(got); err != nil {
		t.Fatal(err)
	}
	for _, ring := range []*Keyring{a, b} {
		if err := ring.Use(2); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Use(1); err != nil || b.Current() != 2 {
		t.Errorf("went back to %d (%v)", b.Current(), err)
	}
	id := rookery.NewAccountID()
	_, wrapped, err := a.NewAccountKey(id)
	if err != nil || WrappedUnder(wrapped) != 2 {
		t.Fatalf("wrapped under %d (%v)", WrappedUnder(wrapped), err)
	}
	if _, err := b.OpenAccount(id, wrapped); err != nil {
		t.Error(err)
	}
	for _, bad := range [][]byte{nil, {9}, {wrapFormat}, []byte("k")} {
		if WrappedUnder(bad) != 0 {
			t.Errorf("%x is wrapped under %d", bad, WrappedUnder(bad))
		}
	}
}

func TestKeyFileLeavesNoOldKeys(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tenant.json")
	ring := GenerateKeyring()
	if err := ring.Save(path); err != nil {
		t.Fatal(err)
	}
	old, err := os.Open(path) // as a disk that keeps the blocks
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	was, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".123.new")
	if err := os.WriteFile(left, was, 0o600); err != nil {
		t.Fatal(err)
	}
	ring.Rotate()
	if err := ring.Destroy(1); err != nil {
		t.Fatal(err)
	}
	if err := ring.Save(path); err != nil {
		t.Fatal(err)
	}
	blocks := make([]byte, len(was))
	if _, err := old.ReadAt(blocks, 0); err != nil || bytes.Trim(blocks, "\x00") != nil && len(bytes.Trim(blocks, "\x00")) > 0 {
		t.Errorf("the old file still says %q (%v)", blocks, err)
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("what a crash left is still there: %v", err)
	}
}

func TestTenantKeysAreNotPrinted(t *testing.T) {
	k, err := ParseTenantKey(3, bytes.Repeat([]byte{0xab}, 32))
	if err != nil {
		t.Fatal(err)
	}
	j, _ := json.Marshal(map[string]any{"k": k, "p": &k})
	text := string(j) + fmt.Sprintf("%v %+v %#v %x %d %s", k, k, k, k, k, k.LogValue())
	for _, form := range []string{"abab", "171", "q6ur"} {
		if strings.Contains(text, form) {
			t.Errorf("%q shows in %s", form, text)
		}
	}
	k.Clear()
	if !bytes.Equal(k.Secret(), make([]byte, 32)) {
		t.Error("not cleared")
	}
}
