package node

import (
	"testing"
	"time"

	"rookery"
)

// A leader that is cut off while mail runs: the others go on when it is
// gone, and nothing is lost or doubled.
func TestSimLeaderCutOff(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		l, stop := c.send(1)
		time.Sleep(2 * time.Second)
		old := c.leader(1 + rookery.SystemGroup)
		c.part(old, true)
		time.Sleep(8 * time.Second)
		if c.leader(1+rookery.SystemGroup) == nil {
			t.Error("nobody leads")
		}
		c.part(old, false)
		time.Sleep(8 * time.Second)
		stop()
		l.mustBeTemporary(t)
		c.mustCheck()
	})
}
