package node

import (
	"context"

	"rookery"
	"rookery/cluster/consensus"
	"rookery/storage/mailbox"
	"rookery/storage/state"
)

// mailState is a mail group's state with its machine.
func (g *groups) mailState(id rookery.GroupID) (*state.Group, error) {
	return g.state.Group(id, func(sg *state.Group) state.Machine {
		return mailbox.New(mailEvents{g.node, id})(sg)
	})
}

// erase frees what this disk holds of a group that has left this node and does
// not run. What stays is where its log ended, its term and its vote.
func (g *groups) erase(id rookery.GroupID) error {
	sg, err := g.mailState(id)
	if err != nil {
		return err
	}
	return g.raft.Forget(id, sg, func() error {
		if err := g.step("marked"); err != nil {
			return err
		}
		if err := g.state.Erase(id); err != nil {
			return err
		}
		if err := g.step("state erased"); err != nil {
			return err
		}
		lg, err := g.log.Group(id)
		if err == nil {
			err = lg.Erase()
		}
		if err != nil {
			return err
		}
		return g.step("log erased")
	})
}

// step lets tests cut the power between two steps of an erasure.
func (g *groups) step(done string) error {
	if f := g.node.deps.tuning.erasing; f != nil {
		return f(done)
	}
	return nil
}

// eraseRest ends the erasures that the last life of this node left undone.
func (g *groups) eraseRest() {
	for id := range g.log.Stats().Groups {
		if id == rookery.SystemGroup {
			continue
		}
		if err := g.eraseHalf(id); err != nil { // before it starts it is tried again
			g.logger.Error("what is here of a group that has left this node cannot be freed yet", "group", id, "error", err)
		}
	}
}

// eraseHalf ends a group's erasure if one was begun, and has the log release
// once more what was erased: it does not remember that.
func (g *groups) eraseHalf(id rookery.GroupID) error {
	lg, err := g.log.Group(id)
	if err != nil {
		return nil // damaged: it says so when it starts
	}
	t, found, err := consensus.ReadTrace(lg)
	switch {
	case err != nil || !found:
		return err
	case t.Erasing:
		return g.erase(id)
	}
	if held, err := g.holds(id); err != nil || held {
		return err
	}
	return lg.Erase()
}

// eraseLeft erases the groups that have left this node and do not run here.
func (n *Node) eraseLeft(ctx context.Context) error {
	if !n.current {
		return nil
	}
	placed, err := n.groups.system.Groups()
	if err != nil {
		return err
	}
	for _, p := range placed {
		if p.Group == rookery.SystemGroup || p.Void || !n.left(p) || n.groups.raft.Group(p.Group) != nil || ctx.Err() != nil {
			continue
		}
		if held, err := n.groups.holds(p.Group); err != nil || !held {
			if err != nil {
				return err
			}
			continue
		}
		// Nothing starts it meanwhile: who starts groups is who asks here. Its
		// members without this node are committed, else it had not left.
		if err := n.groups.erase(p.Group); err != nil {
			return err
		}
		n.deps.Logger.Info("freed what was here of a group that has left this node", "group", p.Group)
	}
	return nil
}
