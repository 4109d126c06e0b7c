package members

import (
	"testing"

	"rookery"
	"rookery/cmd/node/datadir"
	"rookery/storage/system"
)

func TestOneNodeFoundsAGroup(t *testing.T) {
	me := rookery.NodeID("me")
	one := []rookery.NodeID{me}
	for _, c := range []struct {
		name    string
		created bool
		p       system.GroupPlacement
		want    bool
	}{
		{"its founder", false, system.GroupPlacement{Members: one, Version: 1, Founder: me}, true},
		{"its founder, placed further meanwhile", false,
			system.GroupPlacement{Members: []rookery.NodeID{me, "b", "c"}, Version: 2, Founder: me}, true},
		{"its founder, once it has begun", false, system.GroupPlacement{Members: one, Version: 1, Founder: me, Voters: one}, false},
		{"another's", true, system.GroupPlacement{Members: one, Version: 1, Founder: "b"}, false},
		{"a first group on the first node", true, system.GroupPlacement{Members: one, Version: 1}, true},
		{"a first group later", false, system.GroupPlacement{Members: one, Version: 1}, false},
		{"a first group that has moved", true, system.GroupPlacement{Members: one, Version: 2}, false},
		{"a first group elsewhere", true, system.GroupPlacement{Members: []rookery.NodeID{"b"}, Version: 1}, false},
	} {
		if got := founds(datadir.Identity{Node: me, Created: c.created}, c.p); got != c.want {
			t.Errorf("%s: founds is %v", c.name, got)
		}
	}
}
