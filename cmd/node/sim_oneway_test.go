package node

import (
	"testing"
	"time"
)

// A node that is heard and hears nothing, or hears and is not heard: the
// answers to forwarded commands are lost after they were applied.
func TestSimOneWayPartitions(t *testing.T) {
	for name, cut := range map[string]func(*sim, *simNode, bool){"mute": (*sim).mute, "deaf": (*sim).deafen} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(c *sim) {
				l, stop := c.send(1)
				for _, x := range c.nodes {
					time.Sleep(2 * time.Second)
					cut(c, x, true)
					time.Sleep(4 * time.Second)
					cut(c, x, false)
				}
				time.Sleep(8 * time.Second)
				stop()
				l.mustBeTemporary(t)
				c.mustCheck()
			})
		})
	}
}
