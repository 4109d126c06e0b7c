package node

import (
	"testing"
	"time"

	"rookery/cmd/node/members"
)

func (c *sim) setReplication(count int) {
	c.t.Helper()
	store := c.nodes[0].settings
	set, version, err := store.Read(c.t.Context())
	if err == nil {
		set.Replication = count
		_, err = store.Write(c.t.Context(), set, version)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// With five replicas two machines may lose their power at once; mail goes on
// meanwhile, and three replicas can be gone back to.
func TestSimFiveReplicas(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		c.grow()
		c.grow()
		c.setReplication(5)
		c.until(10*time.Minute, "five vote in every group", func() bool { return c.votesOn(c.nodes...) })
		c.sendFor(time.Second)
		dead := c.nodes[3:]
		c.powerCut(dead...)
		l, stop := c.send(1)
		c.until(time.Minute, "mail goes on through the three that live", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.acked[c.nodes[0].host] > 0 && l.acked[c.nodes[1].host] > 0 && l.acked[c.nodes[2].host] > 0
		})
		stop()
		l.mustBeTemporary(t)
		c.onAll(dead)
		c.mustCheck()

		c.setReplication(3)
		c.until(10*time.Minute, "three vote in every group", func() bool {
			for _, id := range members.FirstMail() {
				p, err := c.nodes[0].system.Group(id)
				if err != nil || p.Confirmed != p.Version || len(p.Voters) != 3 || len(p.Members) != 3 {
					return false
				}
			}
			return true
		})
		c.sendFor(time.Second)
		if err := c.ledger.settle(); err != nil {
			t.Error(err)
		}
	})
}
