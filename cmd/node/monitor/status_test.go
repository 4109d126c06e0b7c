package monitor

import (
	"fmt"
	"strings"
	"testing"

	"rookery"
	"rookery/cluster/consensus"
	"rookery/cmd/node/adminapi"
)

// An operator who has just removed a node looks at the status before going on
// with the next: the removed one's votes must not pass for those of a node.
func TestThinGroupsAfterARemoval(t *testing.T) {
	member := func(id rookery.NodeID) bool { return id != "removed" }
	groups := []adminapi.GroupStatus{
		{Group: 2, Voters: standing([]consensus.Server{{ID: "a"}, {ID: "b"}, {ID: "c"}}, member)},
		{Group: 3, Voters: standing([]consensus.Server{{ID: "a"}, {ID: "b"}, {ID: "removed"}, {ID: "c", Learner: true}}, member)},
		{Group: 4, Voters: standing([]consensus.Server{{ID: "a"}, {ID: "removed"}, {ID: "b"}}, member)},
	}
	var said []string
	thin(groups, 3, func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) })
	if len(said) != 1 || !strings.HasPrefix(said[0], "on 2 of 3 nodes only: groups 3, 4;") {
		t.Errorf("the status says %q", said)
	}
}
