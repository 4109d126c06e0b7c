package node

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery/cluster/consensus"
	"rookery/cmd/node/members"
	"rookery/storage/command"
)

// heldHere counts the mail groups of which a machine's disk has something, and
// the traces it has of earlier replicas.
func (c *sim) heldHere(x *simNode) (held, traces int) {
	c.t.Helper()
	for _, id := range members.FirstMail() {
		h, err := x.groups.Holds(id)
		if err != nil {
			c.t.Fatal(err)
		}
		if h {
			held++
		}
		lg, err := x.groups.Log().Group(id)
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

// onUntilErasing starts a machine and takes its power at a step of an erasure,
// be it during the start. then runs once it has started.
func (c *sim) onUntilErasing(x *simNode, step string, then func()) {
	c.t.Helper()
	cut, gone := make(chan *vfs.MemFS, 1), errors.New("the power has gone")
	over := false // touched by whoever erases: one goroutine at a time
	x.deps.tuning.erasing = func(done string) error {
		if done == step && !over {
			over = true
			c.unplug(x)
			cut <- x.disk.left(survivors(c.rng), c.rng)
		}
		if over {
			return gone // a ghost
		}
		return nil
	}
	x.disk = newDisk(x.mem, 0, nil)
	x.disk.lies.Store("")
	x.deps.FS = x.disk
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	opened := make(chan *Node, 1)
	go func() {
		n, _ := Open(ctx, x.cfg, x.deps)
		opened <- n
	}()
	var n *Node
	var left *vfs.MemFS
	select {
	case n = <-opened:
		if n == nil {
			c.t.Fatalf("%s does not start", x.cfg.Name)
		}
		if then != nil {
			then()
		}
		select {
		case left = <-cut:
		case <-time.After(10 * time.Minute):
			c.t.Fatalf("the step %q never came", step)
		}
	case left = <-cut:
		cancel()
		n = <-opened
	}
	if n != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		n.Close(ctx)
	}
	x.mem = left
	c.plug(x)
}

// A drained node frees what it held, the power going between any two steps of
// that and each time on another group; placed here again the groups catch up
// by an image, vote, and everything acknowledged is there.
func TestSimNodeErasesGroupsThatLeft(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		first, drained, third, fourth := c.nodes[0], c.nodes[1], c.nodes[2], c.spare()
		c.sendFor(5 * time.Second)
		had := drained.groups.Log().Stats()
		var bytes int64
		for _, id := range members.FirstMail() {
			bytes += had.Groups[id].LiveBytes
		}
		if bytes == 0 {
			t.Fatal("the test's own premise: the groups hold nothing")
		}
		c.off(drained)
		c.onUntilErasing(drained, "marked", func() { c.setState(first, drained, command.NodeDraining) })
		c.onUntilErasing(drained, "state erased", nil)
		c.onUntilErasing(drained, "log erased", nil)
		drained.deps.tuning.erasing = nil
		c.on(drained)
		c.until(10*time.Minute, "the groups have moved", func() bool { return c.votesOn(first, third, fourth) })
		c.until(time.Minute, "the drained node holds none", func() bool {
			held, traces := c.heldHere(drained)
			return held == 0 && traces == members.FirstGroups && drained.runs() == 0
		})
		time.Sleep(10 * time.Second)
		s := drained.groups.Log().Stats()
		for _, id := range members.FirstMail() {
			if g := s.Groups[id]; g.Last != 0 || g.LiveBytes != 0 {
				t.Errorf("group %d: %+v", id, g)
			}
		}
		c.mustCheckOn(first, third, fourth)
		c.sendFor(3 * time.Second)

		c.off(drained)
		c.on(drained)
		time.Sleep(30 * time.Second)
		if held, traces := c.heldHere(drained); held != 0 || traces != members.FirstGroups {
			t.Errorf("after a restart %d groups are held and %d traces are there", held, traces)
		}
		c.setState(first, drained, command.NodeActive)
		c.setState(first, first, command.NodeDraining)
		c.until(10*time.Minute, "the groups have moved back", func() bool { return c.votesOn(drained, third, fourth) })
		c.until(time.Minute, "the other drained node holds none", func() bool { held, _ := c.heldHere(first); return held == 0 })
		if held, traces := c.heldHere(drained); held != members.FirstGroups || traces != 0 {
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
