package consensus

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"rookery"
)

// Node is one node's part in its groups.
type Node struct {
	opts Options

	mu     sync.Mutex
	groups map[rookery.GroupID]*Group
	closed bool
}

// New makes a node without groups. It does no I/O.
func New(opts Options) (*Node, error) {
	if err := opts.complete(); err != nil {
		return nil, rookery.E("make consensus node", rookery.KindInvalid, err)
	}
	return &Node{opts: opts, groups: map[rookery.GroupID]*Group{}}, nil
}

// Group is a started group, nil if there is none of that name here.
func (n *Node) Group(id rookery.GroupID) *Group {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.groups[id]
}

// CurrentTerm answers another node's Peers.CurrentTerm.
func (n *Node) CurrentTerm(id rookery.GroupID) (uint64, error) {
	g := n.Group(id)
	if g == nil {
		return 0, rookery.E("current term", rookery.KindNotFound, fmt.Errorf("group %d does not run on this node", id))
	}
	return g.raft.CurrentTerm(), nil
}

// Start runs a group on this node, from what its log and machine hold.
// bootstrap names the first members; it is used only where nothing exists
// yet, and must be given on one node only (the others are joined by it) or
// the same on all. It may be empty: then the node waits to be added.
//
// It refuses to start (KindDamaged) where the log and the state on disk do
// not fit together and Options.Recover cannot mend it.
func (n *Node) Start(ctx context.Context, id rookery.GroupID, m Machine, bootstrap []Server) (*Group, error) {
	const op = "start group"
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, rookery.E(op, rookery.KindUnavailable, ErrClosed)
	}
	if n.groups[id] != nil {
		return nil, rookery.E(op, rookery.KindExists, fmt.Errorf("group %d runs already", id))
	}
	g, err := n.start(ctx, id, m, bootstrap)
	if err != nil {
		return nil, rookery.E(op, 0, fmt.Errorf("group %d: %w", id, err))
	}
	n.groups[id] = g
	return g, nil
}

// Stop ends one group here as Close does, and leaves its log and machine as
// they are; Start runs it again. A group that does not run is none to stop.
func (n *Node) Stop(ctx context.Context, id rookery.GroupID) error {
	n.mu.Lock()
	g := n.groups[id]
	delete(n.groups, id)
	n.mu.Unlock()
	if g == nil {
		return nil
	}
	return g.close(ctx)
}

// Close hands over leadership where another node can take it, then stops
// every group and waits for its goroutines. Applies under way get until ctx
// ends. The logs and the machines stay open: they are the caller's, and must
// be closed after this.
func (n *Node) Close(ctx context.Context) error {
	n.mu.Lock()
	n.closed = true
	groups := n.groups
	n.groups = map[rookery.GroupID]*Group{}
	n.mu.Unlock()
	errs := make(chan error, len(groups))
	for _, g := range groups {
		go func() { errs <- g.close(ctx) }()
	}
	var all []error
	for range groups {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}
