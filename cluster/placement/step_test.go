package placement

import (
	"strings"
	"testing"
	"time"

	"rookery"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// set reads ids from letters: "abc" are three nodes.
func set(s string) (out []rookery.NodeID) {
	for _, c := range strings.Split(s, "") {
		out = append(out, rookery.NodeID(c))
	}
	return out
}

func TestStep(t *testing.T) {
	// In progress, a letter answers and has caught up, one in capitals
	// answers and is behind; who is missing does not answer.
	for _, c := range []struct{ name, voters, learners, progress, want, follow, action string }{
		{"settled", "abc", "", "abc", "abc", "", "nothing"},
		{"grow adds learners", "a", "", "abc", "abc", "", "add learner b"},
		{"grow adds the second", "a", "b", "aBc", "abc", "", "add learner c"},
		{"no even number of votes", "a", "bc", "abC", "abc", "", "nothing"},
		{"both are ready", "a", "bc", "abc", "abc", "", "promote b"},
		{"the second follows at once", "ab", "c", "abc", "abc", "", "promote c"},
		{"the second follows without the first", "ab", "c", "ac", "abc", "", "promote c"},
		{"of two one follows", "a", "b", "ab", "ab", "", "nothing"},
		{"two keep both votes", "ab", "", "ab", "ab", "", "nothing"},
		{"of two one is replaced", "ab", "", "abc", "ac", "", "add learner c"},
		{"both keep their votes until then", "ab", "c", "abC", "ac", "", "nothing"},
		{"and change by three", "abc", "", "abc", "ac", "", "remove b"},
		{"a dead one is not added", "a", "", "a", "abc", "", "nothing"},
		{"newcomer behind", "abc", "d", "abcD", "abd", "", "nothing"},
		{"a live one goes last", "abc", "d", "abcd", "abd", "", "promote d"},
		{"and then goes", "abcd", "", "abcd", "abd", "", "remove c"},
		{"a dead one goes first", "abc", "d", "abd", "abd", "", "remove c"},
		{"then comes the newcomer", "ab", "d", "abd", "abd", "", "promote d"},
		{"a dead one waits for the newcomer", "abc", "d", "abD", "abd", "", "nothing"},
		{"no spare: a dead one goes", "abc", "", "ab", "ab", "", "remove c"},
		{"a live one stays where it is needed", "abc", "", "ac", "ab", "", "nothing"},
		{"one behind does not count", "abc", "", "aBc", "ab", "", "nothing"},
		{"four to three keeps a majority", "abcd", "", "abd", "abc", "", "remove d"},
		{"leader hands over", "abcd", "", "abcd", "bcd", "", "transfer leadership to b"},
		{"to one that has caught up", "abcd", "", "aBcd", "bcd", "", "transfer leadership to c"},
		{"nobody to hand over to", "abcd", "", "aBCD", "bcd", "", "nothing"},
		{"the last copy moves", "a", "b", "ab", "b", "", "promote b"},
		{"the last copy hands over", "ab", "", "ab", "b", "", "transfer leadership to b"},
		{"the last copy stays", "a", "", "a", "b", "", "nothing"},
		{"five to three", "abcde", "", "abcde", "abc", "", "remove d"},
		{"five to three, dead first", "abcde", "", "abcd", "abc", "", "remove e"},
		{"nobody is promoted where too few have caught up", "abc", "d", "aBCd", "abd", "", "nothing"},
		{"system learners", "abc", "d", "abcdef", "abc", "de", "add learner e"},
		{"system learner goes", "abc", "de", "abcde", "abc", "d", "remove e"},
		{"votes before learners", "abc", "de", "abcde", "abd", "", "promote d"},
		{"not the leader", "bcd", "", "abcd", "bcd", "", "nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := State{Leader: "a", Last: 1000, Voters: set(c.voters), Progress: map[rookery.NodeID]Progress{}}
			if c.learners != "" {
				s.Learners = set(c.learners)
			}
			for _, id := range set(c.progress) {
				at := rookery.LogIndex(900)
				if low := rookery.NodeID(strings.ToLower(string(id))); low != id {
					id, at = low, 100
				}
				s.Progress[id] = Progress{at, epoch}
			}
			want := Target{Voters: set(c.want)}
			if c.follow != "" {
				want.Learners = set(c.follow)
			}
			if got := Step(s, want, Default(), epoch.Add(time.Hour)).String(); got != c.action {
				t.Fatalf("%s, want %s", got, c.action)
			}
		})
	}
}

func TestPromotionWaitsForSteadyAnswers(t *testing.T) {
	s := State{Leader: "a", Last: 10, Voters: set("ab"), Learners: set("c"),
		Progress: map[rookery.NodeID]Progress{"a": {10, epoch}, "b": {10, epoch}, "c": {10, epoch}}}
	want := Target{Voters: set("abc")}
	if a := Step(s, want, Default(), epoch.Add(time.Second)); a.Kind != None {
		t.Fatal(a)
	}
	s.Progress["c"] = Progress{0, epoch} // has nothing yet
	if a := Step(s, want, Default(), epoch.Add(time.Minute)); a.Kind != None {
		t.Fatal(a)
	}
	s.Progress["c"] = Progress{1, epoch}
	if a := Step(s, want, Default(), epoch.Add(time.Minute)); a != (Action{Promote, "c"}) {
		t.Fatal(a)
	}
}
