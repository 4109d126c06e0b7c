package system

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/storage/command"
)

func TestPlacementCompareAndSet(t *testing.T) {
	f := open(t)
	f.nodes("a", "b", "c")
	f.must(&command.CreateGroup{Group: 1, Members: ids("a")})
	r, err := f.apply(&command.CreateGroup{Group: 300, Members: ids("b", "a")})
	if d := cmp.Diff(&command.PlacementResult{Version: 1}, r); d != "" || err != nil {
		t.Fatal(d, err)
	}
	f.refused(rookery.KindExists, "", &command.CreateGroup{Group: 300, Members: ids("c")})
	f.refused(rookery.KindInvalid, "numbered from", &command.CreateGroup{Members: ids("c")})
	place := &command.PlaceGroup{Group: 300, Members: ids("c", "b", "a"), Version: 1}
	if r, err := f.apply(place); err != nil || r.(*command.PlacementResult).Version != 2 {
		t.Fatal(r, err)
	}
	f.refused(rookery.KindConflict, "has version 2, not 1", place)
	f.refused(rookery.KindConflict, "", &command.ConfirmGroup{Group: 300, Version: 1, Voters: ids("a")})
	f.must(&command.ConfirmGroup{Group: 300, Version: 2, Voters: ids("b", "a", "c")})
	f.refused(rookery.KindNotFound, "", &command.PlaceGroup{Group: 4, Members: ids("a")})
	for _, bad := range [][]rookery.NodeID{nil, ids("a", "a"), ids("d"), ids("a", "b", "c", "d", "e", "f", "g", "h", "i", "j")} {
		f.refused(rookery.KindInvalid, "", &command.PlaceGroup{Group: 300, Members: bad, Version: 2})
	}
	got, err := f.m.Groups()
	want := []GroupPlacement{{Group: 1, Members: ids("a"), Version: 1},
		{Group: 300, Members: ids("a", "b", "c"), Version: 2, Voters: ids("a", "b", "c"), Confirmed: 2}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Fatal(d, err)
	}
	p, err := f.m.Group(300)
	if d := cmp.Diff(want[1], p); d != "" || err != nil {
		t.Fatal(d, err)
	}
	if _, err := f.m.Group(2); !rookery.Is(err, rookery.KindNotFound) {
		t.Fatal(err)
	}
}

func TestRemovalLeavesAMajority(t *testing.T) {
	f := open(t)
	f.nodes("a", "b", "c", "d")
	remove := func(n rookery.NodeID) command.Command {
		return &command.SetNodeState{Node: n, State: command.NodeRemoved}
	}
	f.must(&command.CreateGroup{Group: 2, Members: ids("a")})
	f.refused(rookery.KindConflict, "group 2 might keep no majority", remove("a"))
	f.must(&command.PlaceGroup{Group: 2, Members: ids("a", "b", "c"), Version: 1},
		&command.ConfirmGroup{Group: 2, Version: 2, Voters: ids("a", "b", "c")},
		remove("a"),
		&command.PlaceGroup{Group: 2, Members: ids("b", "c", "d"), Version: 2})
	// Until the group has left a, b is needed: a's vote is lost.
	f.refused(rookery.KindConflict, "group 2 might keep no majority", remove("b"))
	f.refused(rookery.KindInvalid, "no member", &command.PlaceGroup{Group: 2, Members: ids("a", "c", "d"), Version: 3})
	f.must(&command.ConfirmGroup{Group: 2, Version: 3, Voters: ids("b", "c", "d")}, remove("b"))
}

func TestRemovalAllowsForTheChangeUnderWay(t *testing.T) {
	for _, c := range []struct {
		members, voters, gone, node string
		ok                          bool
	}{
		{"abc", "abc", "", "a", true},
		{"abc", "abc", "b", "a", false},
		{"bcd", "abc", "", "b", false}, // a's vote may have ended: b and c
		{"bcd", "abc", "", "a", true},
		{"bcd", "abc", "a", "d", true}, // not promoted before a has gone
		{"bcd", "abc", "", "d", true},  // promoted: 3 of 4
		{"abc", "ab", "", "c", true},   // promoted: 2 of 3
		{"abc", "a", "", "c", false},   // promoted: 1 of 2
		{"ab", "ab", "", "b", false},
		{"abcde", "abcde", "a", "b", true},
		{"abcde", "abcde", "ab", "c", false},
		{"bcd", "abcd", "", "b", true}, // c and d of b, c, d
		{"bcd", "abcd", "a", "b", false},
		{"abc", "abc", "", "d", true},
	} {
		split := func(s string) (out []rookery.NodeID) {
			for _, r := range s {
				out = append(out, rookery.NodeID(r))
			}
			return out
		}
		p := GroupPlacement{Members: split(c.members), Voters: split(c.voters)}
		gone := append(split(c.gone), rookery.NodeID(c.node))
		stays := func(id rookery.NodeID) bool { return !slices.Contains(gone, id) }
		if got := p.majorityWithout(rookery.NodeID(c.node), stays); got != c.ok {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestAGroupNamesItsFounder(t *testing.T) {
	f := open(t)
	f.nodes("a", "b", "c")
	f.refused(rookery.KindInvalid, "no member of the cluster", &command.FoundGroup{Group: 6, Founder: "d"})
	f.must(&command.FoundGroup{Group: 6, Founder: "b"})
	f.refused(rookery.KindExists, "", &command.FoundGroup{Group: 6, Founder: "a"})
	if p, err := f.m.Group(6); !p.Awaits("b") || p.Awaits("a") || p.Begun() || err != nil {
		t.Fatal(p, err)
	}
	// The placement may grow before the founder has begun the group, and the
	// founder stays who it is, also when it has left the group.
	f.must(&command.PlaceGroup{Group: 6, Members: ids("a", "b"), Version: 1})
	if p, err := f.m.Group(6); !p.Awaits("b") || p.Begun() || err != nil {
		t.Fatal(p, err)
	}
	f.must(&command.ConfirmGroup{Group: 6, Version: 2, Voters: ids("b"), Open: true},
		&command.PlaceGroup{Group: 6, Members: ids("a", "c"), Version: 2},
		&command.ConfirmGroup{Group: 6, Version: 3, Voters: ids("a", "c")})
	if p, err := f.m.Group(6); p.Founder != "b" || p.Awaits("b") || !p.Begun() || err != nil {
		t.Fatal(p, err)
	}
}

// A group is void when its founder is removed before it began, whatever its
// late leader says, and stays so; the next group stands in its place.
func TestAGroupIsVoidWithoutItsFounder(t *testing.T) {
	f := open(t)
	f.nodes("a", "b", "c")
	group := func(id rookery.GroupID, want GroupPlacement) {
		t.Helper()
		want.Group = id
		p, err := f.m.Group(id)
		if d := cmp.Diff(want, p); d != "" || err != nil {
			t.Fatal(d, err)
		}
	}
	f.must(&command.CreateGroup{Group: 2, Members: ids("a")},
		&command.FoundGroup{Group: 5, Founder: "b"}, &command.FoundGroup{Group: 6, Founder: "b"}, &command.FoundGroup{Group: 7, Founder: "b"},
		&command.ConfirmGroup{Group: 7, Version: 1, Voters: ids("b")})
	f.refused(rookery.KindConflict, "group 7 might keep no majority", &command.SetNodeState{Node: "b", State: command.NodeRemoved})
	f.must(&command.PlaceGroup{Group: 7, Members: ids("a"), Version: 1}, &command.ConfirmGroup{Group: 7, Version: 2, Voters: ids("a")},
		&command.SetNodeState{Node: "b", State: command.NodeRemoved})
	group(5, GroupPlacement{Founder: "b", Version: 2, Void: true})
	group(7, GroupPlacement{Founder: "b", Version: 2, Members: ids("a"), Voters: ids("a"), Confirmed: 2})
	for v := range uint64(3) {
		f.refused(rookery.KindConflict, "", &command.ConfirmGroup{Group: 5, Version: v, Voters: ids("b")})
		f.refused(rookery.KindConflict, "group 5 is void", &command.PlaceGroup{Group: 5, Version: v, Members: ids("a")})
	}
	f.refused(rookery.KindExists, "", &command.FoundGroup{Group: 5, Founder: "a"})
	f.must(&command.FoundGroup{Group: 8, Founder: "a"})
	group(5, GroupPlacement{Founder: "b", Version: 2, Void: true, Instead: 8})
	group(6, GroupPlacement{Founder: "b", Version: 2, Void: true})
	f.must(&command.FoundGroup{Group: 9, Founder: "a"})
	group(6, GroupPlacement{Founder: "b", Version: 2, Void: true, Instead: 9})
}
