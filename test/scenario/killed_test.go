package scenario

import (
	"context"
	"strings"
	"testing"
	"time"

	"rookery/test/harness"
)

// Mail for several accounts at once goes through the two nodes that joined
// last, which hold no mail group yet, while they and a replica are killed in
// turn. What was acknowledged is in every mailbox once, what was not at most
// once.
func TestKilledNodesLoseAndDoubleNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts five processes")
	}
	d := harness.StartCluster(t, t.TempDir(), 5)
	nodes := d.Facts.Nodes
	l := startLoad(t, d, nodes[3:]...)
	defer l.stop()
	for _, victim := range []harness.Node{nodes[3], nodes[0], nodes[4]} {
		l.more("before " + victim.Name + " is killed")
		if err := d.KillNode(victim.Name); err != nil {
			t.Fatal(err)
		}
		l.more("without " + victim.Name)
		if err := d.StartNode(victim.Name); err != nil {
			t.Fatal(err)
		}
	}
	l.more("at the end")
	l.stop()
	t.Logf("%d messages sent, %d acknowledged", len(l.acknowledged), l.count())
	for _, u := range d.Facts.Users {
		filed(t, d, u, l.acknowledged)
	}
}

// filed waits until a mailbox has all that was acknowledged, and counts.
func filed(t *testing.T, d *harness.Dev, u harness.User, acknowledged map[string]bool) {
	t.Helper()
	var missing []string
	var seen map[string]int
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience(time.Minute))
	defer cancel()
	harness.Poll(ctx, func() (bool, error) {
		missing, seen = nil, map[string]int{}
		for _, s := range subjects(t, d, u) {
			seen[strings.TrimSpace(s)]++
		}
		for s, ok := range acknowledged {
			if ok && seen[s] == 0 {
				missing = append(missing, s)
			}
		}
		return len(missing) == 0, nil
	})
	if len(missing) > 0 {
		t.Errorf("%s lacks %d acknowledged messages: %q", u.Login, len(missing), missing[:min(5, len(missing))])
	}
	for s, n := range seen {
		if n > 1 {
			t.Errorf("%s has %q %d times", u.Login, s, n)
		}
	}
}
