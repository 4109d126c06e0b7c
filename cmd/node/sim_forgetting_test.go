package node

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/members"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/state"
)

// open is a large message whose chunks are agreed on and whose Deliver is not
// sent.
type open struct {
	group rookery.GroupID
	stage command.StageID
	entry []byte // the Deliver, as it would be sent
}

// leaveOpen has a machine stage a large message and stop before its Deliver,
// until its client gives up or the machine ends. That it gives up is not said.
func (c *sim) leaveOpen(x *simNode) open {
	c.t.Helper()
	reached := make(chan open, 1)
	var denied atomic.Bool // the leader, which may be this machine, abandons it later
	x.divert(func(ctx context.Context, data []byte, g group) (rookery.LogIndex, []byte, error) {
		if d, ok := commandIn(data).(*command.Deliver); ok && d.Staged != nil {
			reached <- open{c.groupOf(0), d.Staged.Stage, data}
			<-ctx.Done()
			return 0, nil, rookery.E("apply", rookery.KindUnavailable, ctx.Err())
		}
		if a, ok := commandIn(data).(*command.Abandon); ok && !a.Epoch && denied.CompareAndSwap(false, true) {
			return 0, nil, rookery.E("apply", rookery.KindDenied, errors.New("the test keeps it from being sent"))
		}
		return g.Apply(ctx, data)
	})
	a := c.ledger.begin(attempt{size: 900_000, to: []int{0}, box: mailbox.Inbox})
	go c.deliver(x, a)
	select {
	case o := <-reached:
		return o
	case <-time.After(time.Minute):
		c.t.Fatal("no large message is staged within a minute")
		return open{}
	}
}

// holds reports whether a machine shows a stage as open.
func (x *simNode) holds(o open) bool {
	m := x.groups.Machine(o.group)
	if m == nil {
		return false // the group has moved off it
	}
	stages, err := m.Stages()
	if err != nil {
		return true
	}
	for _, s := range stages {
		if s.ID == o.stage {
			return true
		}
	}
	return false
}

// mustGo waits until a stage is gone from machines and their logs are held by
// it no longer.
func (c *sim) mustGo(o open, first rookery.LogIndex, within time.Duration, xs ...*simNode) {
	c.t.Helper()
	for _, x := range xs {
		c.until(within, "the stage is gone from "+x.cfg.Name, func() bool { return !x.holds(o) })
	}
	for range 300 { // Raft itself keeps the newest entries
		if err := xs[0].groups.Commit(c.t.Context(), o.group, &command.ItemForget{}); err != nil {
			c.t.Fatal(err)
		}
	}
	for _, x := range xs {
		c.until(3*time.Minute, "the log of "+x.cfg.Name+" moves on", func() bool {
			return x.groups.Machine(o.group) == nil || x.groups.Log().Stats().Groups[o.group].Floor > first
		})
	}
}

// firstOf is where a stage begins in the log.
func (c *sim) firstOf(o open) (first rookery.LogIndex) {
	c.t.Helper()
	c.until(time.Minute, "the stage is open", func() bool {
		x := c.leader(o.group)
		if x == nil {
			return false
		}
		stages, err := x.groups.Machine(o.group).Stages()
		for _, s := range stages {
			if s.ID == o.stage {
				first = s.First
			}
		}
		return err == nil && first > 0
	})
	return first
}

// late sends what a machine kept back to the leader, and gives what the group
// says to it.
func (c *sim) late(o open, entry []byte) error {
	c.t.Helper()
	var answer []byte
	c.until(time.Minute, "the group answers", func() bool {
		x := c.leader(o.group)
		if x == nil {
			return false
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_, r, err := x.groups.Group(o.group).Apply(ctx, entry)
		answer = r
		return err == nil
	})
	return state.ResultError("apply", answer)
}

// Chunks of a body that the power took from their node are dropped once it is
// back, or away for as long as it takes to be replaced; a removed node, which
// lives and was only cut off, is forgotten with all that it staged. What they
// send late is refused, and the log moves on.
func TestSimStagesOfLostNodesGo(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		first, lost, third := c.nodes[0], c.nodes[1], c.nodes[2]
		c.sendFor(3 * time.Second)

		// It comes back.
		o := c.leaveOpen(lost)
		at := c.firstOf(o)
		c.powerCut(lost)
		time.Sleep(20 * time.Second)
		if !first.holds(o) {
			t.Error("a node that is away for a moment has lost its stage")
		}
		c.on(lost)
		c.mustGo(o, at, 30*time.Second, first, third)
		if err := c.late(o, o.entry); err == nil {
			t.Error("a Deliver of an earlier life is taken after its stage is gone")
		}

		// It gives up, and cannot say so; it lives on.
		o = c.leaveOpen(lost)
		at = c.firstOf(o)
		c.until(5*time.Minute, "the message is given up", func() bool { return !lost.deliver.Carries(o.stage) })
		c.mustGo(o, at, 30*time.Second, first, third)

		// It stays away.
		o = c.leaveOpen(lost)
		at = c.firstOf(o)
		for _, x := range c.nodes {
			x.registry.UsePolicy(0, 45*time.Second)
		}
		c.powerCut(lost)
		c.mustGo(o, at, 5*time.Minute, first, third)
		c.on(lost)
		c.catchesUp(first)
	})
}

// A node that is cut off is removed: every group forgets it, what it has staged
// goes, and nothing of it is taken any more, whenever it comes.
func TestSimRemovedNodeIsForgotten(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		fourth := c.spare()
		first, lost, third := c.nodes[0], c.nodes[1], c.nodes[2]
		c.sendFor(3 * time.Second)
		o := c.leaveOpen(lost)
		at := c.firstOf(o)
		c.part(lost, true)
		id := lost.id.Node
		c.until(3*time.Minute, "the node is removed", func() bool {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			return first.registry.SetState(ctx, lost.cfg.Name, command.NodeRemoved) == nil
		})
		c.until(5*time.Minute, "every group has forgotten the node", func() bool {
			if is, err := first.system.Forgot(id); err != nil || !is {
				return false
			}
			for _, g := range members.FirstMail() {
				for _, x := range []*simNode{first, third, fourth} {
					m := x.groups.Machine(g)
					if m == nil {
						continue
					}
					if is, err := m.Forgot(id); err != nil || !is {
						return false
					}
				}
			}
			return true
		})
		c.powerCut(lost)
		c.until(10*time.Minute, "the groups have moved", func() bool { return c.votesOn(first, third, fourth) })
		c.nodes = []*simNode{first, third, fourth}
		c.mustGo(o, at, time.Minute, first, third)
		stage := state.Wrap(state.Header{Node: id, Epoch: o.stage.Epoch, Seq: 1 << 40, Time: time.Now().UnixNano()},
			command.Encode(&command.Stage{Stage: command.StageID{Node: id, Epoch: o.stage.Epoch, N: 1 << 40}, Payload: []byte("x")}))
		for _, entry := range [][]byte{o.entry, stage} {
			if err := c.late(o, entry); !errors.Is(err, state.ErrFenced) {
				t.Errorf("what the removed node sends late is answered %v", err)
			}
		}
		c.mustCheck()
	})
}
