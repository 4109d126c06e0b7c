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
	c := &command.Recovered{Generation: 1, Recovery: "x",
		Nodes: []command.RecoveredNode{{Node: "a", Address: "h:1", Key: [32]byte{1}}, {Node: "d", Address: "h:4", Key: [32]byte{4}},
			{Node: "e", Key: [32]byte{5}}},
		Groups: []command.RecoveredGroup{{Group: 1, Seed: "a", Members: []rookery.NodeID{"a", "d"}},
			{Group: 2, Seed: "a", Members: []rookery.NodeID{"a"}}}}
	for range 2 {
		if _, err := f.apply(c); err != nil {
			t.Fatal(err)
		}
	}
	nodes, _ := f.m.Nodes()
	keys := map[rookery.NodeID][32]byte{"a": {1}, "d": {4}} // d's admission was lost, and it holds a copy
	for _, n := range nodes {
		if key, lives := keys[n.ID]; n.Member() != lives || n.Key != key {
			t.Errorf("node %+v", n)
		}
		delete(keys, n.ID)
	}
	if len(keys) > 0 {
		t.Errorf("not in the registry: %v", keys)
	}
	p, err := f.m.Group(2)
	if err != nil || p.Version != 2 || !slices.Equal(p.Voters, []rookery.NodeID{"a"}) || !slices.Equal(p.Members, p.Voters) {
		t.Errorf("group 2 is %+v, %v", p, err)
	}
	if all, err := f.m.Recoveries(); err != nil || len(all) != 1 || len(all[0].Removed) != 2 {
		t.Errorf("recoveries: %+v, %v", all, err)
	}
	if _, err := f.apply(&command.RegisterNode{Node: "b", Version: 2}); !rookery.Is(err, rookery.KindDenied) {
		t.Errorf("a dead node registers again: %v", err)
	}
}

// A recovery makes the groups void that the dead had not begun, but for those
// of which a survivor has a copy, and brings no void one back.
func TestRecoveredVoidsWhatTheDeadHadNotBegun(t *testing.T) {
	f := open(t)
	f.nodes("a", "b", "c")
	f.must(&command.FoundGroup{Group: 5, Founder: "c"}, &command.SetNodeState{Node: "c", State: command.NodeRemoved},
		&command.FoundGroup{Group: 6, Founder: "b"}, &command.FoundGroup{Group: 7, Founder: "b"}, &command.FoundGroup{Group: 8, Founder: "a"})
	r := &command.Recovered{Generation: 1, Recovery: "x"}
	for _, id := range []rookery.GroupID{1, 5, 7} {
		r.Groups = append(r.Groups, command.RecoveredGroup{Group: id, Seed: "a", Members: ids("a")})
	}
	f.must(r)
	for id, want := range map[rookery.GroupID]struct{ void, begun, waits bool }{5: {void: true}, 6: {void: true}, 7: {begun: true},
		8: {waits: true}} {
		if p, err := f.m.Group(id); err != nil || p.Void != want.void || p.Begun() != want.begun || p.Awaits("a") != want.waits {
			t.Errorf("group %d is %+v, %v", id, p, err)
		}
	}
}
