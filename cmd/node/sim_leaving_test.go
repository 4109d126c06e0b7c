package node

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/members"
	"rookery/storage/command"
)

// spare joins a fourth machine, which holds no mail group.
func (c *sim) spare() *simNode { return c.grow() }

// grow joins one more machine.
func (c *sim) grow() *simNode {
	c.t.Helper()
	c.add(len(c.nodes), nil)
	x := c.nodes[len(c.nodes)-1]
	token, addresses, err := c.nodes[0].registry.MintToken(c.t.Context(), time.Hour)
	if err == nil {
		err = x.join(c.t.Context(), x.cfg, token, addresses)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.on(x)
	return x
}

// runs counts the mail groups whose Raft runs on a machine.
func (x *simNode) runs() (n int) {
	for _, id := range members.FirstMail() {
		if x.groups.Group(id) != nil {
			n++
		}
	}
	return n
}

// votesOn reports whether exactly these machines vote in every mail group, by
// the confirmed placement that one of them has.
func (c *sim) votesOn(xs ...*simNode) bool {
	for _, id := range members.FirstMail() {
		p, err := xs[0].system.Group(id)
		if err != nil || p.Confirmed != p.Version || len(p.Voters) != len(xs) {
			return false
		}
		for _, x := range xs {
			if !slices.Contains(p.Voters, x.id.Node) {
				return false
			}
		}
	}
	return true
}

func (c *sim) setState(by, x *simNode, to command.NodeState) {
	c.t.Helper()
	if err := by.registry.SetState(c.t.Context(), x.cfg.Name, to); err != nil {
		c.t.Fatal(err)
	}
}

func (c *sim) mustCheckOn(xs ...*simNode) {
	c.t.Helper()
	for _, x := range xs {
		if err := c.checkNode(x); err != nil {
			c.t.Fatal(err)
		}
	}
}

// A drained node stops the groups that have left it, also after a restart, and
// takes part again when they are placed on it again.
func TestSimNodeStopsGroupsThatLeft(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		first, drained, third, fourth := c.nodes[0], c.nodes[1], c.nodes[2], c.spare()
		_, stop := c.send(1)
		c.setState(first, drained, command.NodeDraining)
		c.until(10*time.Minute, "the groups have moved", func() bool { return c.votesOn(first, third, fourth) })
		c.until(time.Minute, "the drained node runs none", func() bool { return drained.runs() == 0 && len(drained.groups.Here()) == 0 })
		time.Sleep(2 * time.Second) // mail through the drained node
		stop()
		c.mustCheckOn(first, third, fourth)

		c.off(drained)
		c.on(drained)
		time.Sleep(30 * time.Second)
		if n := drained.runs(); n != 0 {
			t.Errorf("%d groups that have left run after a restart", n)
		}
		c.setState(first, drained, command.NodeActive)
		c.setState(first, first, command.NodeDraining)
		c.until(10*time.Minute, "the groups have moved back", func() bool { return c.votesOn(drained, third, fourth) })
		c.until(time.Minute, "the other drained node runs none", func() bool { return first.runs() == 0 })
		if n := drained.runs(); n != members.FirstGroups {
			t.Errorf("%d groups run where %d were placed again", n, members.FirstGroups)
		}
		c.sendFor(3 * time.Second)
		c.mustCheckOn(drained, third, fourth)
		if err := c.ledger.settle(); err != nil {
			t.Error(err)
		}
	})
}

// A group that is moved off a node while that is down counts its vote until
// the move is confirmed: the node runs it, and with one more node down it is
// needed. Once confirmed it stops.
func TestSimNodeStartsGroupsThatAreLeaving(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		first, away, third, fourth := c.nodes[0], c.nodes[1], c.nodes[2], c.spare()
		c.until(time.Minute, "the placement is confirmed", func() bool { return c.votesOn(first, away, third) })
		leaver, comer := away.id.Node, fourth.id.Node
		c.off(away)
		c.off(fourth) // nobody can take over
		for _, id := range members.FirstMail() {
			c.until(time.Minute, fmt.Sprintf("group %d is placed elsewhere", id), func() bool {
				p, err := first.system.Group(id)
				if err == nil && slices.Contains(p.Members, leaver) {
					ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
					defer cancel()
					_, err = first.groups.ProposeSystem(ctx,
						&command.PlaceGroup{Group: id, Members: []rookery.NodeID{first.id.Node, third.id.Node, comer}, Version: p.Version})
				}
				return err == nil
			})
		}
		c.on(away)
		for _, id := range members.FirstMail() {
			if p, err := away.system.Group(id); err != nil || slices.Contains(p.Members, leaver) || p.Confirmed == p.Version {
				t.Fatalf("the test's own premise: %+v, %v", p, err)
			}
		}
		if n := away.runs(); n != members.FirstGroups {
			t.Fatalf("%d of %d groups run on a node whose votes count", n, members.FirstGroups)
		}
		c.off(third)
		time.Sleep(15 * time.Second)
		c.sendFor(3 * time.Second) // fails without the leaving node's votes
		c.on(third)
		c.on(fourth)
		c.until(10*time.Minute, "the groups have moved", func() bool { return c.votesOn(first, third, fourth) })
		c.until(time.Minute, "the node that was left runs none", func() bool { return away.runs() == 0 })
		c.mustCheckOn(first, third, fourth)
		if err := c.ledger.settle(); err != nil {
			t.Error(err)
		}
	})
}
