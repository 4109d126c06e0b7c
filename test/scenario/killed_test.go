package scenario

import (
	"context"
	"fmt"
	"strings"
	"sync"
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
	var to []string
	for _, u := range d.Facts.Users {
		to = append(to, u.Login)
	}
	var mu sync.Mutex
	acknowledged := map[string]bool{} // of all that were sent
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var senders sync.WaitGroup
	for _, n := range nodes[3:] {
		for k := range 2 {
			senders.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					subject := fmt.Sprintf("through %s %d %d", n.Name, k, i)
					body := "hi\r\n"
					if i%4 == 0 {
						body = incompressible(400_000) // goes in stages
					}
					err := send(n.SMTP, to, "Subject: "+subject+"\r\n\r\n"+body)
					mu.Lock()
					acknowledged[subject] = err == nil
					mu.Unlock()
					if err != nil {
						select { // the node is down: the next try may wait
						case <-time.After(100 * time.Millisecond):
						case <-ctx.Done():
						}
					}
				}
			})
		}
	}
	count := func() (n int) {
		mu.Lock()
		defer mu.Unlock()
		for _, ok := range acknowledged {
			if ok {
				n++
			}
		}
		return n
	}
	more := func() {
		t.Helper()
		want := count() + 10
		wait, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := harness.Poll(wait, func() (bool, error) { return count() >= want, nil }); err != nil {
			t.Errorf("no mail is taken any more: %d of %d", count(), want)
		}
	}
	for _, victim := range []harness.Node{nodes[3], nodes[0], nodes[4]} {
		more()
		if err := d.KillNode(victim.Name); err != nil {
			t.Fatal(err)
		}
		more()
		if err := d.StartNode(victim.Name); err != nil {
			t.Fatal(err)
		}
	}
	more()
	cancel()
	senders.Wait()
	t.Logf("%d messages sent, %d acknowledged", len(acknowledged), count())
	for _, u := range d.Facts.Users {
		filed(t, d, u, acknowledged)
	}
}

// filed waits until a mailbox has all that was acknowledged, and counts.
func filed(t *testing.T, d *harness.Dev, u harness.User, acknowledged map[string]bool) {
	t.Helper()
	var missing []string
	var seen map[string]int
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
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
