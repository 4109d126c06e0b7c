package node

import (
	"context"
	"fmt"
	"io"

	"rookery"
	"rookery/cluster/consensus"
	"rookery/cmd/node/peers"
)

// serveCalls answers other nodes' calls about the groups here.
func (g *groups) serveCalls(p *peers.Peers) {
	running := func(name string, id rookery.GroupID) (*consensus.Group, error) {
		if group := g.raft.Group(id); group != nil {
			return group, nil
		}
		return nil, rookery.E(name, rookery.KindUnavailable, fmt.Errorf("group %d does not run on this node", id))
	}
	position := func(c peers.Call[peers.At, peers.Position], fn func(context.Context, rookery.NodeID, *consensus.Group, peers.At) (peers.Position, error)) {
		c.Serve(p, func(ctx context.Context, from rookery.NodeID, q peers.At) (peers.Position, error) {
			group, err := running(c.Name(), q.Group)
			if err != nil {
				return peers.Position{}, err
			}
			return fn(ctx, from, group, q)
		})
	}
	position(peers.ReadIndex, func(ctx context.Context, from rookery.NodeID, group *consensus.Group, _ peers.At) (a peers.Position, err error) {
		if a.Index, err = group.ReadIndex(ctx); err == nil {
			group.Prompt(from, a.Index) // it waits for it
		}
		return a, err
	})
	position(peers.Prompt, func(_ context.Context, from rookery.NodeID, group *consensus.Group, q peers.At) (a peers.Position, err error) {
		group.Prompt(from, q.Index)
		return a, nil
	})
	position(peers.CurrentTerm, func(_ context.Context, _ rookery.NodeID, _ *consensus.Group, q peers.At) (a peers.Position, err error) {
		a.Term, err = g.raft.CurrentTerm(q.Group)
		return a, err
	})
	position(peers.Applied, func(_ context.Context, _ rookery.NodeID, group *consensus.Group, _ peers.At) (a peers.Position, err error) {
		a.Index, a.Term = group.Machine().Applied()
		return a, nil
	})
	peers.LogRecord.Serve(p, func(_ context.Context, _ rookery.NodeID, q peers.At) (a peers.Record, err error) {
		if _, err := running(peers.LogRecord.Name(), q.Group); err != nil {
			return a, err
		}
		l, err := g.log.Group(q.Group)
		if err == nil {
			a.Data, err = l.Record(q.Index, q.Term)
		}
		return a, err
	})
	peers.Apply.Serve(p, func(ctx context.Context, _ rookery.NodeID, e peers.Entry) (a peers.Result, err error) {
		group, err := running(peers.Apply.Name(), e.Group)
		if err == nil {
			a.Index, a.Data, err = group.Apply(ctx, e.Data)
		}
		return a, err
	})
	peers.Image.Serve(p, func(_ context.Context, at peers.At, w io.Writer) error { return g.writeImage(at, w) })
}

// lead is a lane's group as seen from this node: the replica here, and the
// leader wherever it is.
type lead struct {
	*consensus.Group
	self  rookery.NodeID
	peers *peers.Peers
}

// leader is the node to send to; "" is this one.
func (l lead) leader() (rookery.NodeID, error) {
	if l.IsLeader() {
		return "", nil
	}
	id, ok := l.Leader()
	if !ok || id == l.self {
		return "", rookery.E("find leader", rookery.KindUnavailable, fmt.Errorf("group %d has no leader now: a majority of its nodes must live and reach each other; see rookery status", l.ID()))
	}
	return id, nil
}

// Apply goes to the leader.
func (l lead) Apply(ctx context.Context, data []byte) (rookery.LogIndex, []byte, error) {
	to, err := l.leader()
	if err != nil {
		return 0, nil, err
	}
	if to == "" {
		return l.Group.Apply(ctx, data)
	}
	ctx, done := l.whileLeads(ctx, to)
	defer done()
	a, err := peers.Apply.Ask(ctx, l.peers, to, peers.Entry{Group: l.ID(), Data: data})
	return a.Index, a.Data, err
}

// Barrier asks the leader for its read index and waits for it here.
func (l lead) Barrier(ctx context.Context) error {
	if noBarrier {
		return nil
	}
	to, err := l.leader()
	if err != nil {
		return err
	}
	var index rookery.LogIndex
	if to == "" {
		index, err = l.ReadIndex(ctx)
	} else {
		asking, done := l.whileLeads(ctx, to)
		defer done()
		var a peers.Position
		a, err = peers.ReadIndex.Ask(asking, l.peers, to, peers.At{Group: l.ID()})
		index = a.Index
	}
	if err != nil {
		return err
	}
	return l.Group.Wait(ctx, index)
}
