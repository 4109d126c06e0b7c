package system

import (
	"slices"
	"testing"

	"rookery"
	"rookery/storage/command"
)

// The dead are removed without their majority being asked, the groups lie on
// survivors, and a second time changes nothing.
func TestRecoveredKeepsTheSurvivors(t *testing.T) {
	f := open(t)
	for _, id := range []rookery.NodeID{"a", "b", "c"} {
		if _, err := f.apply(&command.RegisterNode{Node: id, Version: 2}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.apply(&command.CreateGroup{Group: 2, Members: []rookery.NodeID{"a", "b", "c"}}); err != nil {
		t.Fatal(err)
	}
	c := &command.Recovered{Generation: 1, Recovery: "x", Version: 2,
		Groups: []command.RecoveredGroup{{Group: 1, Seed: "a", Members: []rookery.NodeID{"a"}}, {Group: 2, Seed: "a", Members: []rookery.NodeID{"a"}}}}
	for range 2 {
		if _, err := f.apply(c); err != nil {
			t.Fatal(err)
		}
	}
	nodes, _ := f.m.Nodes()
	for _, n := range nodes {
		if n.Member() != (n.ID == "a") {
			t.Errorf("node %s is %s", n.ID, n.State)
		}
	}
	p, err := f.m.Group(2)
	if err != nil || p.Version != 2 || !slices.Equal(p.Voters, []rookery.NodeID{"a"}) || !slices.Equal(p.Members, p.Voters) {
		t.Errorf("group 2 is %+v, %v", p, err)
	}
	if g, _ := f.m.Gate(); g != 2 {
		t.Errorf("the gate is %d", g)
	}
	if all, err := f.m.Recoveries(); err != nil || len(all) != 1 || len(all[0].Removed) != 2 {
		t.Errorf("recoveries: %+v, %v", all, err)
	}
	if _, err := f.apply(&command.RegisterNode{Node: "b", Version: 2}); !rookery.Is(err, rookery.KindDenied) {
		t.Errorf("a dead node registers again: %v", err)
	}
}
