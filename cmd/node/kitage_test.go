package node

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKitOlderThanTheKeysIsSaid, until a kit is written that has them: while
// the node runs or while it is stopped, but not of the keys of before.
func TestKitOlderThanTheKeysIsSaid(t *testing.T) {
	n, cfg, deps := oneNode(t)
	kit := func(name string) {
		t.Helper()
		if err := n.dir.WriteKit(filepath.Join(t.TempDir(), name), time.Now(), true); err != nil {
			t.Fatal(err)
		}
	}
	rotate := func() {
		t.Helper()
		if _, err := n.keys.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	fresh := func() bool { return n.problemWith("recovery kit") == "" }
	if !fresh() {
		t.Errorf("before any change: %q", n.monitor.Status().Problems)
	}
	kit("first")
	until(t, "the first kit is noted", func() bool { k, err := n.system.Kit(); return k.Made > 0 && err == nil })
	rotate()
	if p := n.problemWith("lacks tenant key 2"); !strings.Contains(p, "rookery key kit FILE") || strings.Contains(p, "settings key") {
		t.Errorf("after a rotation: %q", n.monitor.Status().Problems)
	}
	stopNode(t, n)
	n = startNode(t, cfg, deps)
	if fresh() {
		t.Error("the kit of before counts after a start")
	}
	stopNode(t, n)
	kit("stopped")
	n = startNode(t, cfg, deps)
	until(t, "the kit that was written of the stopped node counts", fresh)
}
