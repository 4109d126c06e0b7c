package scenario

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rookery/test/harness"
)

const gossipKeySize = 32

// ring is a node's file of gossip keys.
func ring(t *testing.T, d *harness.Dev, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(d.Dir, name, "keys", "gossip.key"))
	must(t, err)
	return b
}

// settles waits until nodes know one key, the same, and none of those given.
func settles(t *testing.T, d *harness.Dev, within time.Duration, not []byte, names ...string) (key []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience(within))
	defer cancel()
	var last [][]byte
	if err := harness.Poll(ctx, func() (bool, error) {
		last = nil
		for _, name := range names {
			last = append(last, ring(t, d, name))
		}
		key = last[0]
		ok := len(key) == gossipKeySize
		for i := 0; i+gossipKeySize <= len(not); i += gossipKeySize {
			ok = ok && !bytes.Equal(key, not[i:i+gossipKeySize])
		}
		for _, k := range last {
			ok = ok && bytes.Equal(k, key)
		}
		return ok, nil
	}); err != nil {
		t.Fatalf("%v do not settle on one new key within %v: files of %d bytes and more", names, within, len(last[0]))
	}
	return key
}

// heard reports that everybody hears everybody's packets.
func (s status) heard() bool {
	return s.wholeOfAll() && !s.problem("UDP to node")
}

// The gossip key changes under load: at once where all live; when a node is
// killed in the middle, be it the one that leads the change, without it, and
// it learns the key when it is back; after a removal by itself. Nodes hear each
// other all the time, and who joins gets the key of the day.
func TestGossipKeyChanges(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts four processes")
	}
	d := harness.StartCluster(t, t.TempDir(), 3)
	o := operator{t, d, "node1"}
	names := []string{"node1", "node2", "node3"}
	st := o.until(time.Minute, "the cluster is whole", status.heard)
	l := startLoad(t, d, d.Facts.Nodes...)
	defer l.stop()
	first := settles(t, d, time.Second, nil, names...)
	out, code := o.run("gossip", "rotate")
	if code != 0 || !strings.Contains(out, "no other key is known") {
		t.Fatalf("rotate: exit code %d: %s", code, out)
	}
	key := settles(t, d, 10*time.Second, first, names...)
	st = o.until(time.Minute, "all hear each other under the new key", status.heard)
	l.more("after the first change")

	leader := ""
	for _, g := range st.Groups {
		if g.Group == 1 {
			leader = g.Leader
		}
	}
	follower := names[0]
	for _, name := range names {
		if name != leader {
			follower = name
		}
	}
	for _, victim := range []string{follower, leader} {
		var others []string
		for _, name := range names {
			if name != victim {
				others = append(others, name)
			}
		}
		o = operator{t, d, others[0]}
		if out, code := o.run("gossip", "rotate", "-no-wait", "--json"); code != 0 || !strings.Contains(out, `"done":false`) {
			t.Fatalf("rotate -no-wait: exit code %d: %s", code, out)
		}
		ctx, cancel := context.WithTimeout(t.Context(), harness.Patience(30*time.Second))
		defer cancel()
		if err := harness.Poll(ctx, func() (bool, error) { return len(ring(t, d, victim)) == 2*gossipKeySize, nil }); err != nil {
			t.Fatal("the change does not reach", victim)
		}
		must(t, d.KillNode(victim))
		cut := ring(t, d, victim)
		if len(cut) != 2*gossipKeySize {
			t.Logf("%s was killed too late to be in the middle", victim)
		}
		was := key
		key = settles(t, d, time.Minute, was, others...)
		if bytes.Equal(ring(t, d, victim), key) {
			t.Errorf("%s, which is dead, knows the key", victim)
		}
		must(t, d.StartNode(victim))
		settles(t, d, time.Minute, was, names...)
		o.until(time.Minute, victim+" hears and is heard", status.heard)
		l.more("after " + victim + " was killed in the middle")
	}

	o = operator{t, d, "node1"}
	known := ring(t, d, "node3")
	if out, code := o.run("remove", "node3"); code != 0 {
		t.Fatalf("remove: exit code %d: %s", code, out)
	}
	key = settles(t, d, time.Minute, known, "node1", "node2")
	if bytes.Contains(ring(t, d, "node3"), key) {
		t.Error("the removed node knows the new key")
	}
	text, at := token(t, d, "node1", "1h")
	next := newMachine(t, d, "next")
	if said, code := next.join(text, at[0]); code != 0 {
		t.Fatalf("join: exit code %d: %s", code, said)
	}
	next.serve()
	if !bytes.Equal(ring(t, d, "next"), key) {
		t.Error("who joins does not get the key of the day")
	}
	o.until(time.Minute, "the new node is heard", func(s status) bool { return s.alive("next") && s.heard() })
	l.stop()
	d.Facts.Nodes = d.Facts.Nodes[:2]
	for _, u := range d.Facts.Users {
		filed(t, d, u, l.acknowledged)
	}
}
