package admin

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"rookery"
)

// A wrong path in the node file must not cost the file that lies there.
func TestAdminSocketReplacesOnlySockets(t *testing.T) {
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(path, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(ctx, path); !rookery.Is(err, rookery.KindExists) {
		t.Fatalf("over a file: %v", err)
	}
	if b, err := os.ReadFile(path); string(b) != "kept" {
		t.Fatalf("the file: %q, %v", b, err)
	}
	os.Remove(path)
	for range 2 { // the first is left behind as by a killed process
		ln, err := Listen(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		ln.(interface{ SetUnlinkOnClose(bool) }).SetUnlinkOnClose(false)
		ln.Close()
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("the socket: %v, %v", info, err)
		}
	}
}
