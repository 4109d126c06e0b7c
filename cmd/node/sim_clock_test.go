package node

import (
	"testing"
	"time"

	"rookery/cmd/node/members"

	"rookery"
)

// A leader whose clock is wrong hands over what it leads; the others' clients do
// not notice for long, nothing is lost, and the node is one like any other when
// its clock is right again.
func TestSimWrongClock(t *testing.T) {
	for name, skew := range map[string]time.Duration{"ahead": 3 * time.Minute, "behind": -3 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(c *sim) {
				c.sendFor(3 * time.Second)
				x := c.leader(rookery.SystemGroup + 1)
				x.ahead.Store(int64(skew))
				time.Sleep(30 * time.Second)
				for g := range rookery.GroupID(members.FirstGroups + 1) {
					if c.leader(rookery.SystemGroup+g) == x {
						t.Errorf("it still leads group %d", rookery.SystemGroup+g)
					}
				}
				if x.monitor.Ready("smtp").Ready {
					t.Error("a balancer is told that it is ready")
				}
				l, stop := c.send(2)
				time.Sleep(10 * time.Second)
				stop()
				l.mustBeTemporary(t)
				for _, other := range c.nodes {
					if other != x && (l.acked[other.host] < 10 || l.temporary[other.host] > 0) {
						t.Errorf("%s: %d accepted, %d temporary", other.cfg.Name, l.acked[other.host], l.temporary[other.host])
					}
				}
				x.ahead.Store(0)
				time.Sleep(15 * time.Second)
				l, stop = c.send(2)
				time.Sleep(3 * time.Second)
				stop()
				if l.acked[x.host] == 0 {
					t.Error("with a right clock it accepts nothing")
				}
				c.mustCheck()
			})
		})
	}
}
