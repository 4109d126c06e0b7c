package node

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
)

// TestAddedGroupsTakeAccounts adds groups to a running node, sees new accounts
// spread over them, and finds all of it again after a restart.
func TestAddedGroupsTakeAccounts(t *testing.T) {
	cfg, deps := testConfig(t), testDeps(t, directoryServer(t))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	n, err := Open(ctx, cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	before := n.registry.MailGroups()
	added, err := n.registry.AddGroups(ctx, 2)
	if err != nil || len(added) != 2 {
		t.Fatal(added, err)
	}
	for i, g := range added {
		if g.Group != slices.Max(before)+1+rookery.GroupID(i) || g.Founder != cfg.Name || !g.Begun {
			t.Errorf("added %+v after %v", g, before)
		}
	}
	if _, err := n.registry.AddGroups(ctx, 0); !rookery.Is(err, rookery.KindInvalid) {
		t.Error("no groups were added:", err)
	}
	if len(n.monitor.Status().Groups) != 1+len(before)+2 {
		t.Errorf("the status has %d groups", len(n.monitor.Status().Groups))
	}
	in := accountsIn(ctx, t, n, added)
	if err := n.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if n, err = Open(ctx, cfg, deps); err != nil {
		t.Fatal(err)
	}
	defer n.Close(context.WithoutCancel(ctx))
	for id, group := range in {
		a, err := n.accounts.Open(ctx, id)
		if err == nil {
			err = a.Sync(ctx)
		}
		if err != nil || a.Group() != group {
			t.Errorf("an account of group %d after the restart: %v", group, err)
			continue
		}
		v, err := a.View()
		if err != nil {
			t.Error(err)
			continue
		}
		v.Close()
	}
	if n.registry.MailGroups(); len(n.registry.MailGroups()) != len(before)+2 {
		t.Errorf("groups after the restart: %v", n.registry.MailGroups())
	}
}

// accountsIn makes accounts until each of the groups has one.
func accountsIn(ctx context.Context, t *testing.T, n *Node, groups []adminapi.AddedGroup) map[rookery.AccountID]rookery.GroupID {
	t.Helper()
	in, want := map[rookery.AccountID]rookery.GroupID{}, map[rookery.GroupID]bool{}
	for _, g := range groups {
		want[g.Group] = true
	}
	for i := 0; len(want) > 0; i++ {
		if i == 300 {
			t.Fatalf("300 accounts and none in groups %v", want)
		}
		id, err := n.accounts.Ensure(ctx, rookery.Owner{Key: fmt.Sprintf("main/%d", i)}, 0)
		if err != nil {
			t.Fatal(err)
		}
		g, err := n.accounts.Group(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if want[g] {
			in[id] = g
			delete(want, g)
		}
	}
	return in
}
