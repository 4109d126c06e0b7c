package durable_test

import (
	"os"
	"path/filepath"
	"testing"

	"rookery/internal/durable"
)

func TestWriteFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := durable.MakeDir(dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "key")
	for _, text := range []string{"old", "new"} {
		if err := durable.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		b, _ := os.ReadFile(path)
		info, err := os.Stat(path)
		if err != nil || string(b) != text || info.Mode() != 0o640 {
			t.Errorf("%q, %v, %v", b, info, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("beside the file: %v, %v", left, err)
	}
}

// What is not committed leaves the old file, and is found if a crash left it.
func TestDiscard(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key[1]") // no pattern
	if err := durable.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := durable.Create(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("half")
	if left, err := durable.Unfinished(path); err != nil || len(left) != 1 || left[0] != f.Name() {
		t.Errorf("unfinished: %v, %v", left, err)
	}
	f.Discard()
	if left, err := durable.Unfinished(path); err != nil || len(left) != 0 {
		t.Errorf("unfinished: %v, %v", left, err)
	}
	if b, _ := os.ReadFile(path); string(b) != "old" {
		t.Errorf("%q", b)
	}
}

func TestWriteFileNowhere(t *testing.T) {
	if err := durable.WriteFile(filepath.Join(t.TempDir(), "none", "key"), nil, 0o600); err == nil {
		t.Error("no error")
	}
}
