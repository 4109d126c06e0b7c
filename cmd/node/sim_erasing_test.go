package node

import (
	"errors"
	"testing"
	"time"

	"rookery"
	"rookery/cluster/consensus"
	"rookery/storage/command"
)

// heldHere counts the mail groups of which a machine's disk has something, and
// the traces it has of earlier replicas.
func (c *sim) heldHere(x *simNode) (held, traces int) {
	c.t.Helper()
	for _, id := range firstMail() {
		h, err := x.groups.holds(id)
		if err != nil {
			c.t.Fatal(err)
		}
		if h {
			held++
		}
		lg, err := x.groups.log.Group(id)
		if err != nil {
			c.t.Fatal(err)
		}
		if t, found, err := consensus.ReadTrace(lg); err != nil {
			c.t.Fatal(err)
		} else if found {
			traces++
			if t.Erasing {
				held++
			}
		}
	}
	return held, traces
}

// A drained node frees what it held, the power going between any two steps of
// that and each time on another group; placed here again the groups catch up
// by an image, vote, and everything acknowledged is there.
func TestSimNodeErasesGroupsThatLeft(t *testing.T) {
	const steps = 3
	bubble(t, nil, func(c *sim) {
		first, drained, third, fourth := c.nodes[0], c.nodes[1], c.nodes[2], c.spare()
		c.sendFor(5 * time.Second)
		had := drained.groups.log.Stats()
		var bytes int64
		for _, id := range firstMail() {
			bytes += had.Groups[id].LiveBytes
		}
		if bytes == 0 {
			t.Fatal("the test's own premise: the groups hold nothing")
		}
		cuts, cut := 0, make(chan struct{}, 1)
		gone := errors.New("the power has gone")
		drained.deps.tuning.erasing = func(done string) error {
			if cuts == steps {
				return nil
			}
			if done != []string{"marked", "state erased", "log erased"}[cuts] {
				return nil
			}
			cuts++
			cut <- struct{}{}
			return gone
		}
		c.off(drained)
		c.on(drained)
		c.setState(first, drained, command.NodeDraining)
		for range steps {
			select {
			case <-cut:
			case <-time.After(10 * time.Minute):
				t.Fatal("nothing is erased")
			}
			c.powerCut(drained)
			c.on(drained)
		}
		c.until(10*time.Minute, "the groups have moved", func() bool { return c.votesOn(first, third, fourth) })
		c.until(time.Minute, "the drained node holds none", func() bool {
			held, traces := c.heldHere(drained)
			return held == 0 && traces == mailGroups && drained.runs() == 0
		})
		time.Sleep(10 * time.Second)
		s := drained.groups.log.Stats()
		for _, id := range firstMail() {
			if g := s.Groups[id]; g.Last != 0 || g.LiveBytes != 0 {
				t.Errorf("group %d: %+v", id, g)
			}
		}
		c.mustCheckOn(first, third, fourth)
		c.sendFor(3 * time.Second)

		c.off(drained)
		c.on(drained)
		time.Sleep(30 * time.Second)
		if held, traces := c.heldHere(drained); held != 0 || traces != mailGroups {
			t.Errorf("after a restart %d groups are held and %d traces are there", held, traces)
		}
		c.setState(first, drained, command.NodeActive)
		c.setState(first, first, command.NodeDraining)
		c.until(10*time.Minute, "the groups have moved back", func() bool { return c.votesOn(drained, third, fourth) })
		c.until(time.Minute, "the other drained node holds none", func() bool { held, _ := c.heldHere(first); return held == 0 })
		if held, traces := c.heldHere(drained); held != mailGroups || traces != 0 {
			t.Errorf("where the groups came back %d are held and %d traces are left", held, traces)
		}
		c.off(third) // its vote is needed, and what it holds
		c.sendFor(3 * time.Second)
		c.mustCheckOn(drained, fourth)
		c.on(third)
		if err := c.ledger.settle(); err != nil {
			t.Error(err)
		}
	})
}

// With the gate below the version that knows of it nothing is erased.
func TestErasingWaitsForTheGate(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		g := c.nodes[0].groups
		if !g.erases() {
			t.Error("a new cluster does not erase")
		}
		if rookery.SystemGroup == firstMail()[0] {
			t.Fatal("the system group would be erased")
		}
	})
}
