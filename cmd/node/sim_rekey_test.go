package node

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rookery"
	"rookery/storage/command"
)

// ringFile is a machine's file of gossip keys.
func (c *sim) ringFile(x *simNode) []byte {
	c.t.Helper()
	b, err := os.ReadFile(filepath.Join(x.cfg.DataDir, gossipKey))
	if err != nil {
		c.t.Fatal(err)
	}
	return b
}

// The node that leads a change of the gossip key loses its power in each stage
// in turn, and comes back when the change is over or goes on: in the end all
// know the newest key and no other.
func TestSimGossipKeyChangesThroughPowerCuts(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		for _, stage := range []command.GossipStage{command.GossipInstall, command.GossipUse, command.GossipSettled} {
			before := c.ringFile(c.nodes[0])
			leads := c.leader(rookery.SystemGroup)
			settled, err := leads.beginRing(c.t.Context())
			if err != nil {
				c.t.Fatal(err)
			}
			c.until(time.Minute, "the change has come to "+stage.String(), func() bool {
				ring, err := leads.groups.system.Gossip()
				return err == nil && ring.Stage == stage
			})
			c.powerCut(leads)
			var stay []*simNode
			for _, x := range c.nodes {
				if x != leads {
					stay = append(stay, x)
				}
			}
			c.until(time.Minute, "the others settle", func() bool {
				for _, x := range stay {
					if x.ring.Load() != settled || len(c.ringFile(x)) != gossipKeyLen || bytes.Equal(c.ringFile(x), before) {
						return false
					}
				}
				return bytes.Equal(c.ringFile(stay[0]), c.ringFile(stay[1]))
			})
			c.on(leads)
			c.until(time.Minute, "the one that was away knows the key", func() bool {
				return leads.ring.Load() == settled && bytes.Equal(c.ringFile(leads), c.ringFile(stay[0]))
			})
		}
	})
}

// The system group's leader is removed: it may lead for a moment longer, but
// never begins the change that its removal calls for, and does not learn the
// key of it.
func TestSimRemovedLeaderDoesNotChooseTheNextGossipKey(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		time.Sleep(2 * rekeyCalm)
		removed := c.leader(rookery.SystemGroup)
		before := c.ringFile(removed)
		var stay []*simNode
		for _, x := range c.nodes {
			if x != removed {
				stay = append(stay, x)
			}
		}
		c.setState(stay[0], removed, command.NodeRemoved)
		c.until(2*time.Minute, "the others settle on another key", func() bool {
			key := c.ringFile(stay[0])
			return len(key) == gossipKeyLen && !bytes.Equal(key, before) && bytes.Equal(key, c.ringFile(stay[1]))
		})
		// Whoever else begins it has to be elected first.
		ring, err := stay[0].groups.system.Gossip()
		gone, nerr := stay[0].groups.system.Node(removed.id.Node)
		if err := errors.Join(err, nerr); err != nil {
			t.Fatal(err)
		}
		if after := time.Duration(ring.Began - gone.Since); after < 10*time.Millisecond {
			t.Errorf("the change began %v after the removal: the removed node has chosen the key", after)
		}
		if bytes.Contains(c.ringFile(removed), c.ringFile(stay[0])) {
			t.Error("the removed node knows the key")
		}
	})
}
