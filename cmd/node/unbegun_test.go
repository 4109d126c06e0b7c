package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rookery/cmd/node/adminapi"
	"rookery/storage/command"
)

// TestALostFoundersGroupIsReplaced removes a node that never began its group:
// the status tells of the group until another was added in its place.
func TestALostFoundersGroupIsReplaced(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	n, err := Open(ctx, testConfig(t), testDeps(t, directoryServer(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close(context.WithoutCancel(ctx))
	lost := slices.Max(n.registry.MailGroups()) + 1
	for _, c := range []command.Command{
		&command.RegisterNode{Node: "ghost-id", Name: "ghost", Address: "127.0.0.1:1", Version: command.Version},
		&command.FoundGroup{Group: lost, Founder: "ghost-id"},
	} {
		if _, err := n.groups.ProposeSystem(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	says := func(what string) bool { return strings.Contains(strings.Join(n.monitor.Status().Problems, "\n"), what) }
	if !says("it waits for node ghost; start that node") {
		t.Errorf("before the removal: %q", n.monitor.Status().Problems)
	}
	if err := n.registry.SetState(ctx, "ghost", command.NodeRemoved); err != nil {
		t.Fatal(err)
	}
	never := fmt.Sprintf("group %d will never begin: node ghost", lost)
	if !says(never) || says("it waits for node") {
		t.Errorf("after the removal: %q", n.monitor.Status().Problems)
	}
	added, err := n.registry.AddGroups(ctx, 1)
	if err != nil || len(added) != 1 || added[0].Group != lost+1 || !added[0].Begun {
		t.Fatal(added, err)
	}
	if s := n.monitor.Status(); says(never) || slices.ContainsFunc(s.Groups, func(g adminapi.GroupStatus) bool { return g.Group == lost }) {
		t.Errorf("after another was added: %q, %+v", s.Problems, s.Groups)
	}
	if in := n.registry.MailGroups(); slices.Contains(in, lost) || !slices.Contains(in, lost+1) {
		t.Errorf("accounts go to groups %v", in)
	}
}
