package scenario

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"rookery/cmd/node/datadir"
	"rookery/storage/keys"
	"rookery/test/harness"
)

// ring is what a node's file of settings keys holds: the fingerprints of the
// versions.
func ring(t *testing.T, d *harness.Dev, name string) map[uint32]keys.Fingerprint {
	t.Helper()
	dir := datadir.Dir(filepath.Join(d.Dir, name))
	tenant, err := dir.TenantKeys(nil).Load(t.Context())
	must(t, err)
	k, err := dir.SettingsKeys(tenant).Load(t.Context())
	must(t, err)
	return k.Fingerprints()
}

// settles waits until nodes know one settings key, the same, of a version above
// one.
func settles(t *testing.T, d *harness.Dev, within time.Duration, above uint32, names ...string) (key map[uint32]keys.Fingerprint) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience(within))
	defer cancel()
	if err := harness.Poll(ctx, func() (bool, error) {
		key = ring(t, d, names[0])
		ok := len(key) == 1 && slices.Max(slices.Collect(maps.Keys(key))) > above
		for _, name := range names {
			ok = ok && maps.Equal(ring(t, d, name), key)
		}
		return ok, nil
	}); err != nil {
		t.Fatalf("%v do not settle on one settings key within %v: %v", names, within, key)
	}
	return key
}

// heard reports that everybody hears everybody's packets.
func (s status) heard() bool {
	return s.wholeOfAll() && !s.problem("UDP to node")
}

// A removal changes the settings key under load, and with it that of gossip:
// nodes hear each other all the time, and who joins gets the key of the day.
func TestSettingsKeyChangesWithARemoval(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts four processes")
	}
	d := harness.StartCluster(t, t.TempDir(), 3)
	o := operator{t, d, "node1"}
	o.until(time.Minute, "the cluster is whole", status.heard)
	l := startLoad(t, d, d.Facts.Nodes...)
	defer l.stop()
	settles(t, d, time.Second, 0, "node1", "node2", "node3")
	if out, code := o.run("remove", "node3", "-yes"); code != 0 {
		t.Fatalf("remove: exit code %d: %s", code, out)
	}
	key := settles(t, d, time.Minute, 1, "node1", "node2")
	for v, print := range ring(t, d, "node3") {
		if key[v] == print {
			t.Error("the removed node knows the new key")
		}
	}
	text, at := token(t, d, "node1", "1h")
	next := newMachine(t, d, "next")
	if said, code := next.join(text, at[0]); code != 0 {
		t.Fatalf("join: exit code %d: %s", code, said)
	}
	next.serve()
	if !maps.Equal(ring(t, d, "next"), key) {
		t.Error("who joins does not get the key of the day")
	}
	o.until(time.Minute, "the new node is heard", func(s status) bool { return s.alive("next") && s.heard() })
	l.stop()
	d.Facts.Nodes = d.Facts.Nodes[:2]
	for _, u := range d.Facts.Users {
		filed(t, d, u, l.acknowledged)
	}
}
