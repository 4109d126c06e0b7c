package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// forgetEvery is how often the groups led here are searched for what nodes
// have left in them.
const forgetEvery = 5 * time.Second

// maxStages bounds the stages in one question.
const maxStages = mailbox.MaxStages

// forgetting has the groups led here let go of what a node keeps in them and
// will never come back for: all that a removed node left, and the staged chunks
// of bodies that a living one has given up, in this life or in an earlier one,
// or that one which is away for as long as it takes to be replaced has not
// delivered. Open stages hold the log. What is dropped is a command, and a
// Deliver that comes after it is refused: no clock decides more than when to
// propose it.
type forgetting struct {
	node   *Node
	done   map[forgot]bool              // what is known to be forgotten
	silent map[rookery.NodeID]time.Time // since when nodes are away
}

type forgot struct {
	group rookery.GroupID
	node  rookery.NodeID
}

func newForgetting(n *Node) *forgetting {
	return &forgetting{n, map[forgot]bool{}, map[rookery.NodeID]time.Time{}}
}

func (f *forgetting) run(ctx context.Context) error {
	return f.node.groups.Follow(ctx, forgetEvery, func() {
		if err := f.look(ctx); err != nil && ctx.Err() == nil {
			f.node.deps.Logger.Warn("what nodes have left in the groups led here could not all be dropped; trying again", "error", err)
		}
	})
}

func (f *forgetting) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	nodes, err := f.node.system.Nodes()
	if err != nil {
		return err
	}
	removed := map[rookery.NodeID]bool{}
	for _, x := range nodes {
		f.hear(x.ID)
		if !x.Member() && x.ID != f.node.id.Node {
			removed[x.ID] = true
		}
	}
	errs := []error{f.forgetMembers(ctx, removed)}
	for _, id := range f.node.groups.Here() {
		m := f.node.groups.Machine(id)
		if m != nil && f.node.groups.Leads(id) {
			errs = append(errs, f.forgetNodes(ctx, id, m, removed), f.dropStages(ctx, id, m, removed))
		}
	}
	return errors.Join(errs...)
}

// hear notes whether a node is there.
func (f *forgetting) hear(id rookery.NodeID) {
	if f.node.lives.Alive(id) {
		delete(f.silent, id)
	} else if f.silent[id].IsZero() {
		f.silent[id] = time.Now()
	}
}

// away reports whether a node has been away for so long that others replace it.
func (f *forgetting) away(id rookery.NodeID) bool {
	since := f.silent[id]
	return !since.IsZero() && time.Since(since) >= f.node.policy().DeadAfter
}

// forgetMembers forgets removed nodes in the system group.
func (f *forgetting) forgetMembers(ctx context.Context, removed map[rookery.NodeID]bool) error {
	if !f.node.groups.Leads(rookery.SystemGroup) {
		return nil
	}
	return f.forget(ctx, rookery.SystemGroup, removed, f.node.system.Forgot,
		func(id rookery.NodeID) command.Command { return &command.ForgetMember{Node: id} })
}

// forgetNodes forgets removed nodes in a mail group.
func (f *forgetting) forgetNodes(ctx context.Context, group rookery.GroupID, m *mailbox.Machine, removed map[rookery.NodeID]bool) error {
	return f.forget(ctx, group, removed, m.Forgot,
		func(id rookery.NodeID) command.Command { return &command.ForgetNode{Node: id} })
}

func (f *forgetting) forget(ctx context.Context, group rookery.GroupID, removed map[rookery.NodeID]bool,
	forgotten func(rookery.NodeID) (bool, error), cmd func(rookery.NodeID) command.Command) error {
	for id := range removed {
		if f.done[forgot{group, id}] {
			continue
		}
		done, err := forgotten(id)
		if err == nil && !done {
			err = f.node.groups.Commit(ctx, group, cmd(id))
		}
		if err != nil {
			return err
		}
		if !done {
			f.node.deps.Logger.Info("a group has forgotten a node that was removed", "group", group, "node", id)
		}
		f.done[forgot{group, id}] = true
	}
	return nil
}

// dropStages abandons the stages of a group that nobody carries any more. A
// Deliver that names one later is refused: it was not acknowledged.
func (f *forgetting) dropStages(ctx context.Context, group rookery.GroupID, m *mailbox.Machine, removed map[rookery.NodeID]bool) error {
	open, err := m.Stages()
	if err != nil || len(open) == 0 {
		return err
	}
	by := map[rookery.NodeID][]command.StageID{}
	for _, s := range open {
		if len(by[s.ID.Node]) < maxStages {
			by[s.ID.Node] = append(by[s.ID.Node], s.ID)
		}
	}
	var errs []error
	for node, stages := range by {
		left := stages
		if !removed[node] && !f.away(node) {
			if left, err = f.askLeft(ctx, node, stages); err != nil {
				continue // it is not there, or of an older binary: it may go on
			}
		}
		for _, s := range left {
			if err := f.node.groups.Commit(ctx, group, &command.Abandon{Stage: s}); err != nil {
				errs = append(errs, err)
				break
			}
		}
		if len(left) > 0 {
			f.node.deps.Logger.Info("staged chunks that nobody delivers any more are dropped", "group", group, "node", node, "stages", len(left))
		}
	}
	return errors.Join(errs...)
}

// askLeft asks a node which of its stages it does not carry any more.
func (f *forgetting) askLeft(ctx context.Context, node rookery.NodeID, stages []command.StageID) ([]command.StageID, error) {
	if node == f.node.id.Node {
		return f.node.stagesLeft(stages), nil
	}
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	a, err := peers.LeftStages.Ask(ctx, f.node.peers, node, peers.Stages{Stages: stages})
	if err != nil {
		return nil, err
	}
	asked := func(s command.StageID) bool { return slices.Contains(stages, s) }
	return slices.DeleteFunc(a.Stages, func(s command.StageID) bool { return !asked(s) }), nil
}

// serveStages answers other nodes' questions after stages of this one.
func (n *Node) serveStages() {
	peers.LeftStages.Serve(n.peers, func(_ context.Context, _ rookery.NodeID, q peers.Stages) (peers.Stages, error) {
		if len(q.Stages) > maxStages {
			return peers.Stages{}, rookery.E("ask for stages", rookery.KindInvalid, errors.New("malformed question"))
		}
		return peers.Stages{Stages: n.stagesLeft(q.Stages)}, nil
	})
}

// stagesLeft are those among this node's stages of which it sends nothing any
// more, ever: they are of an earlier life, or given up.
func (n *Node) stagesLeft(stages []command.StageID) (left []command.StageID) {
	for _, s := range stages {
		mine := s.Node == n.id.Node && s.Epoch <= n.id.Epoch
		if mine && (s.Epoch < n.id.Epoch || !n.deliver.Carries(s) && !n.movers.mover.Carries(s)) {
			left = append(left, s)
		}
	}
	return left
}
