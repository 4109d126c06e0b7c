package replicas

import (
	"context"
	"fmt"
	"io"

	"rookery"
	"rookery/cluster/consensus"
	"rookery/cmd/node/peers"
)

// serveCalls answers other nodes' calls about the groups here.
func (r *Replicas) serveCalls() {
	p := r.opts.Peers
	running := func(name string, id rookery.GroupID) (*consensus.Group, error) {
		if group := r.raft.Group(id); group != nil {
			return group, nil
		}
		return nil, rookery.E(name, rookery.KindUnavailable, fmt.Errorf("group %d does not run on this node", id))
	}
	position := func(c peers.Call[peers.At, peers.Position],
		fn func(context.Context, rookery.NodeID, *consensus.Group, peers.At) (peers.Position, error)) {
		c.Serve(p, func(ctx context.Context, from rookery.NodeID, q peers.At) (peers.Position, error) {
			group, err := running(c.Name(), q.Group)
			if err != nil {
				return peers.Position{}, err
			}
			return fn(ctx, from, group, q)
		})
	}
	position(peers.ReadIndex, func(ctx context.Context, from rookery.NodeID, group *consensus.Group,
		_ peers.At) (a peers.Position, err error) {
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
		a.Term, err = r.raft.CurrentTerm(q.Group)
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
		l, err := r.log.Group(q.Group)
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
	peers.Forward.Serve(p, func(ctx context.Context, _ rookery.NodeID, e peers.Entry) (a peers.Result, err error) {
		if r.raft.Group(e.Group) == nil {
			return a, NotHere(e.Group)
		}
		a.Index, a.Data, err = r.leader(e.Group).Apply(ctx, e.Data)
		return a, err
	})
	peers.Image.Serve(p, func(_ context.Context, at peers.At, w io.Writer) error { return r.writeImage(at, w) })
}

// leader is a group that runs here, as the proposer sees it: the replica here,
// and the leader wherever it is.
type leader struct {
	*consensus.Group
	self      rookery.NodeID
	peers     *peers.Peers
	noBarrier bool
}

// leader is a group that runs here, with the way to its leader.
func (r *Replicas) leader(id rookery.GroupID) leader {
	return leader{r.raft.Group(id), r.opts.ID.Node, r.opts.Peers, r.opts.NoBarrier}
}

// Leader is the node that leads a group which runs here; "" is this one.
func (r *Replicas) Leader(id rookery.GroupID) (rookery.NodeID, error) { return r.leader(id).node() }

// node is the one to send to; "" is this one.
func (l leader) node() (rookery.NodeID, error) {
	if l.IsLeader() {
		return "", nil
	}
	id, ok := l.Leader()
	if !ok || id == l.self {
		return "", rookery.E("find leader", rookery.KindUnavailable,
			fmt.Errorf("group %d has no leader now: a majority of its nodes must live and reach each other; see rookery status", l.ID()))
	}
	return id, nil
}

// Apply goes to the leader.
func (l leader) Apply(ctx context.Context, data []byte) (rookery.LogIndex, []byte, error) {
	to, err := l.node()
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
func (l leader) Barrier(ctx context.Context) error {
	if l.noBarrier {
		return nil
	}
	to, err := l.node()
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
