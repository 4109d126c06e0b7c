package node

import (
	"testing"
	"time"

	"rookery/cluster/consensus"
)

func isLearner(s consensus.Server) bool { return s.Learner }

// Mail flows through all three nodes and is the same on each.
func TestSimMailFlows(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		l, stop := c.send(1)
		time.Sleep(5 * time.Second)
		stop()
		l.mustBeTemporary(t)
		c.mustCheck()
	})
}
