package consensus

import (
	"context"
	"slices"

	"github.com/hashicorp/raft"

	"rookery"
)

func (s Server) raft() raft.Server {
	suffrage := raft.Voter
	if s.Learner {
		suffrage = raft.Nonvoter
	}
	return raft.Server{ID: raft.ServerID(s.ID), Address: raft.ServerAddress(s.Address), Suffrage: suffrage}
}

// configuration is the latest one in the log, committed or not, as Raft
// counts its quorums.
func (g *Group) configuration() raft.Configuration {
	return g.raft.GetConfiguration().Configuration()
}

// Servers are the group's members.
func (g *Group) Servers() []Server {
	return servers(g.configuration())
}

// MembersCommitted reports whether Servers are those of a configuration that
// the group has agreed on and this node has applied; else a change is under
// way that may still be undone.
func (g *Group) MembersCommitted() bool {
	data, at := g.machine.Configuration()
	return at > 0 && slices.Equal(servers(raft.DecodeConfiguration(data)), g.Servers())
}

func (g *Group) voters() int {
	n := 0
	for _, s := range g.configuration().Servers {
		if s.Suffrage == raft.Voter {
			n++
		}
	}
	return n
}

// Add makes s a member, or changes its address or suffrage; on the leader.
// A new node should be a learner first, and a voter once it has caught up.
// The errors are those of Apply.
func (g *Group) Add(ctx context.Context, s Server) error {
	return g.change(ctx, func() raft.IndexFuture {
		if s.Learner {
			return g.raft.AddNonvoter(raft.ServerID(s.ID), raft.ServerAddress(s.Address), 0, enqueueTimeout)
		}
		return g.raft.AddVoter(raft.ServerID(s.ID), raft.ServerAddress(s.Address), 0, enqueueTimeout)
	})
}

// Remove ends a server's membership; on the leader. The errors are those of
// Apply.
func (g *Group) Remove(ctx context.Context, id rookery.NodeID) error {
	return g.change(ctx, func() raft.IndexFuture {
		return g.raft.RemoveServer(raft.ServerID(id), 0, enqueueTimeout)
	})
}

func (g *Group) change(ctx context.Context, propose func() raft.IndexFuture) error {
	done := make(chan error, 1)
	go func() { done <- propose().Error() }() // ends with the change or raft
	select {
	case err := <-done:
		return applyError(err)
	case <-ctx.Done():
		return doubtful("change members", context.Cause(ctx))
	case <-g.closed:
		return doubtful("change members", ErrClosed)
	}
}
