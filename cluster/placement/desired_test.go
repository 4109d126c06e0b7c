package placement

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"rookery"
)

// cluster reads nodes from words "id[/zone][!][-]": ! is dead for long, ?
// dead for a moment, - draining, x removed.
func cluster(s string) (nodes []Node) {
	for _, w := range strings.Fields(s) {
		n := Node{Alive: true, Since: epoch}
		if cut := strings.TrimSuffix(w, "!"); cut != w {
			n.Alive, w = false, cut
		} else if cut := strings.TrimSuffix(w, "?"); cut != w {
			n.Alive, n.Since, w = false, epoch.Add(59*time.Minute), cut
		} else if cut := strings.TrimSuffix(w, "-"); cut != w {
			n.State, w = Draining, cut
		} else if cut := strings.TrimSuffix(w, "~"); cut != w {
			n.Unfit, w = true, cut
		} else if cut := strings.TrimSuffix(w, "x"); cut != w {
			n.State, w = Removed, cut
		}
		id, zone, _ := strings.Cut(w, "/")
		n.ID, n.Zone = rookery.NodeID(id), zone
		nodes = append(nodes, n)
	}
	return nodes
}

// placed reads placements from words "members[>voters]": with voters given a
// change is under way.
func placed(s string) (groups []Placement) {
	for i, w := range strings.Fields(s) {
		members, voters, moving := strings.Cut(w, ">")
		g := Placement{Group: rookery.GroupID(i + 2), Members: set(members), Voters: set(members), Version: 2, Confirmed: 2}
		if moving {
			g.Voters, g.Confirmed = set(voters), 1
		}
		groups = append(groups, g)
	}
	return groups
}

func text(want map[rookery.GroupID][]rookery.NodeID) string {
	var words []string
	for _, g := range slices.Sorted(maps.Keys(want)) {
		var w string
		for _, id := range want[g] {
			w += string(id)
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

func TestDesired(t *testing.T) {
	for _, c := range []struct{ name, nodes, groups, want string }{
		{"one node", "a", "a a", "a a"},
		{"two nodes", "a b", "a a", "ab ab"},
		{"three nodes", "a b c", "a ab>a", "abc abc"},
		{"four nodes", "a b c d", "abc abd acd bcd", "abc abd acd bcd"},
		{"a dead newcomer", "a b c?", "a", "ab"},
		{"away for a moment", "a b c? d", "abc", "abc"},
		{"away for long", "a b c! d", "abc", "abd"},
		{"no spare", "a b c!", "abc", "abc"},
		{"spare is away", "a b c! d?", "abc", "abc"},
		{"spare drains", "a b c! d-", "abc", "abc"},
		{"one at a time", "a b! c! d e", "abc", "acd"},
		{"one at a time, under way", "a b! c! d e", "acd>abc", "acd"},
		{"the newcomer dies too", "a b! c d! e", "acd>abc", "ace"},
		{"draining with a spare", "a b c- d", "abc", "abd"},
		{"draining without", "a b c-", "abc", "abc"},
		{"dead before draining", "a b- c! d e", "abc", "abd"},
		{"removed with a spare", "a b cx d", "abc", "abd"},
		{"removed without", "a b cx", "abc", "ab"},
		{"removed under way", "a b cx d e-", "abc>abe", "abd"},
		{"removed and dead: one replacement", "a b! cx d e", "abc", "abd"},
		{"all removed but one", "a bx cx", "abc", "a"},
		{"spread over zones", "a/p b/p c/q d/r", "a", "acd"},
		{"zones before load", "a/p b/q c/q d/r", "abd abd abc", "abd abd acd"},
		{"move for balance", "a b c d", "abc abc abc", "bcd abc abc"},
		{"one move at a time", "a b c d", "bcd>abc abc abc", "bcd abc abc"},
		{"no move for one", "a b c d", "abc", "abc"},
		{"no move while one is away", "a b c d e?", "abc abc abc", "abc abc abc"},
		{"moves when it is given up", "a b c d e!", "abc abc abc", "bcd abc abc"},
		{"unknown members go", "a b c", "abq", "abc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := text(Desired(cluster(c.nodes), placed(c.groups), Default(), epoch.Add(time.Hour))); got != c.want {
				t.Fatalf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestReplicationChanges(t *testing.T) {
	for _, c := range []struct {
		replication         int
		nodes, groups, want string
	}{
		{5, "a b c d e", "abc", "abcde"},
		{5, "a b c d", "abc", "abc"},
		{5, "a b c d e?", "abc", "abc"},
		{4, "a b c d e", "abc", "abc"},
		{3, "a b c d e", "abcde", "abcd"},
		{3, "a b- c d? e", "abcde", "abce"},
		{3, "a b c d", "abcd>abcde", "abcd"},
		{5, "a b c d ex", "abcde", "abc"},
		{1, "a b c", "abc", "ab"},
		{1, "a b c", "ab", "a"},
		{0, "a b c", "a", "a"},
	} {
		p := Default()
		p.Replication = c.replication
		if got := text(Desired(cluster(c.nodes), placed(c.groups), p, epoch.Add(time.Hour))); got != c.want {
			t.Errorf("%d of %s from %s: %s, want %s", c.replication, c.nodes, c.groups, got, c.want)
		}
	}
}

func TestLeaders(t *testing.T) {
	for _, c := range []struct{ name, nodes, groups, want string }{
		{"even", "a b c", "a:abc b:abc c:abc", ""},
		{"all on one", "a b c", "a:abc a:abc a:abc", "2 a>b"},
		{"two and none", "a b c", "a:abc a:abc b:abc", "2 a>c"},
		{"two and one", "a b c", "a:abc a:abc b:abc c:abc", ""},
		{"somebody is away for a moment", "a b c?", "a:abc a:abc b:abc", ""},
		{"somebody is away for long", "a b c!", "a:abc a:abc a:abc", "2 a>b"},
		{"a group without a leader", "a b c", "a:abc a:abc a:abc :abc", ""},
		{"draining", "a- b c?", "b:abc a:abc a:abc", "3 a>b"},
		{"draining, even", "a- b c", "b:abc a:abc", "3 a>c"},
		{"nobody else", "a- b? c!", "a:abc", ""},
		{"not to a draining one", "a b- c-", "a:abc a:abc a:abc", ""},
		{"unfit", "a~ b c?", "b:abc a:abc a:abc", "3 a>b"},
		{"not to an unfit one", "a b~ c", "a:abc a:abc a:abc", "2 a>c"},
		{"unfit, nobody else", "a~ b! c!", "a:abc", ""},
		{"by a chain", "a b c", "a:ab a:ab a:ab b:bc b:bc", "5 b>c"},
		{"the chain shortens", "a b c", "a:ab a:ab a:ab c:bc b:bc", "2 a>b"},
		{"no chain", "a b c d", "a:ab a:ab b:ab c:cd", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var groups []Leadership
			for i, w := range strings.Fields(c.groups) {
				leader, voters, _ := strings.Cut(w, ":")
				groups = append(groups, Leadership{rookery.GroupID(i + 2), rookery.NodeID(leader), set(voters), epoch})
			}
			got := ""
			if h, due := Leaders(groups, cluster(c.nodes), Default(), epoch.Add(time.Hour)); due {
				got = fmt.Sprintf("%d %s>%s", h.Group, h.From, h.To)
			}
			if got != c.want {
				t.Fatalf("%q, want %q", got, c.want)
			}
			groups[0].Since = epoch.Add(time.Hour)
			if h, due := Leaders(groups, cluster(c.nodes), Default(), epoch.Add(time.Hour)); due &&
				!strings.HasPrefix(c.name, "draining") && c.name != "unfit" {
				t.Fatal("moved although a leader is new:", h)
			}
		})
	}
}

func TestRemovable(t *testing.T) {
	for _, c := range []struct {
		nodes, groups string
		ok            bool
	}{{"a b c", "abc", true}, {"a b c?", "abc", false}, {"a b cx", "abc", false}, {"a b c d? e?", "bcd", true},
		{"a b c d", "bcd>abc bcd", true}, {"a", "a", false}} {
		if err := Removable("a", cluster(c.nodes), placed(c.groups)); (err == nil) != c.ok ||
			err != nil && !rookery.Is(err, rookery.KindConflict) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
