package cli

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// After rookery dev kill node1 the other verbs ask a node that lives.
func TestDevSocketIsOfANodeThatLives(t *testing.T) {
	dir := t.TempDir()
	listen := func(name string) net.Listener {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		ln, err := net.Listen("unix", filepath.Join(dir, name, "admin.sock"))
		if err != nil {
			t.Fatal(err)
		}
		ln.(*net.UnixListener).SetUnlinkOnClose(false) // as a killed process leaves it
		t.Cleanup(func() { ln.Close() })
		return ln
	}
	first, _ := listen("node1"), listen("node2")
	if got := AdminSocket(dir); got != filepath.Join(dir, "node1", "admin.sock") {
		t.Errorf("all live: %s", got)
	}
	first.Close()
	if got := AdminSocket(dir); got != filepath.Join(dir, "node2", "admin.sock") {
		t.Errorf("node1 is killed: %s", got)
	}
	if got := AdminSocket(filepath.Join(dir, "node1")); got != filepath.Join(dir, "node1", "admin.sock") {
		t.Errorf("one node is named: %s", got)
	}
}
