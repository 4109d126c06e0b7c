package node

import (
	"testing"

	"rookery/storage/command"
)

// An operator's change of a node shows at once where it was asked for, be that
// the leader or not: seeing the old state he would believe that somebody else
// has taken the change back.
func TestSimStateOfANodeShowsAtOnce(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		x := c.nodes[2]
		for _, by := range c.nodes {
			for _, to := range []command.NodeState{command.NodeDraining, command.NodeActive} {
				c.setState(by, x, to)
				if got, err := by.system.Node(x.id.Node); err != nil || got.State != to {
					t.Errorf("%s set the state to %v and shows %v (%v)", by.cfg.Name, to, got.State, err)
				}
			}
		}
	})
}
