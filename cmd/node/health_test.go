package node

import (
	"context"
	"strings"
	"testing"
	"time"

	"rookery/test/harness"
)

// A directory that is away is away for every node: the node stays ready, says
// so in its reason, and says no more of it when the directory is back.
func TestDirectoryAwayLowersNothing(t *testing.T) {
	dir := directoryServer(t)
	n, err := Open(t.Context(), testConfig(t), testDeps(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	defer closeTest(n)
	if v := n.monitor.Ready(""); !v.Ready || v.Reason != "serving" {
		t.Fatalf("with its directory: %+v", v)
	}
	dir.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = harness.Poll(ctx, func() (bool, error) {
		n.people.Authenticate(ctx, login(0), "secret") // notices it at once
		return strings.Contains(n.monitor.Ready("").Reason, "directory main does not answer"), nil
	})
	if v := n.monitor.Ready(""); err != nil || !v.Ready {
		t.Errorf("without its directory: %+v, %v", v, err)
	}
}
