package consensus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"rookery"
)

// Node is one node's part in its groups.
type Node struct {
	opts Options

	mu       sync.Mutex
	groups   map[rookery.GroupID]*Group
	starting map[rookery.GroupID]*starting
	closed   bool
}

// starting stands for a group while it is being started, which may take as
// long as an image takes to arrive.
type starting struct {
	cancel context.CancelCauseFunc
	done   chan struct{}
}

// New makes a node without groups. It does no I/O.
func New(opts Options) (*Node, error) {
	if err := opts.complete(); err != nil {
		return nil, rookery.E("make consensus node", rookery.KindInvalid, err)
	}
	return &Node{opts: opts, groups: map[rookery.GroupID]*Group{}, starting: map[rookery.GroupID]*starting{}}, nil
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
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &starting{cancel: cancel, done: make(chan struct{})}
	defer close(s.done)
	n.mu.Lock()
	switch {
	case n.closed:
		n.mu.Unlock()
		return nil, rookery.E(op, rookery.KindUnavailable, ErrClosed)
	case n.groups[id] != nil || n.starting[id] != nil:
		n.mu.Unlock()
		return nil, rookery.E(op, rookery.KindExists, fmt.Errorf("group %d runs or is being started already", id))
	}
	n.starting[id] = s
	n.mu.Unlock()

	g, err := n.start(ctx, id, m, bootstrap)
	n.mu.Lock()
	delete(n.starting, id)
	cause := context.Cause(ctx)
	if err == nil && cause == nil {
		n.groups[id] = g
	}
	n.mu.Unlock()
	if err == nil && cause != nil {
		err = errors.Join(cause, g.close(ctx))
	}
	if err != nil {
		return nil, rookery.E(op, 0, fmt.Errorf("group %d: %w", id, err))
	}
	return g, nil
}

var errStopped = rookery.E("start group", rookery.KindUnavailable, errors.New("it was stopped before it ran"))

// Stop ends one group here as Close does, and leaves its log and machine as
// they are; Start runs it again. A group that does not run is none to stop;
// the start of one that is being started ends with KindUnavailable.
func (n *Node) Stop(ctx context.Context, id rookery.GroupID) error {
	n.mu.Lock()
	if s := n.starting[id]; s != nil {
		n.mu.Unlock()
		s.cancel(errStopped)
		<-s.done
		n.mu.Lock()
	}
	g := n.groups[id]
	delete(n.groups, id)
	n.mu.Unlock()
	if g == nil {
		return nil
	}
	return g.close(ctx)
}

// Close hands over leadership where another node can take it, then stops
// every group, also those that are being started, and waits for its goroutines. Applies under way get until ctx
// ends. The logs and the machines stay open: they are the caller's, and must
// be closed after this.
func (n *Node) Close(ctx context.Context) error {
	n.mu.Lock()
	n.closed = true
	groups, starts := n.groups, slices.Collect(maps.Values(n.starting))
	n.groups = map[rookery.GroupID]*Group{}
	n.mu.Unlock()
	for _, s := range starts {
		s.cancel(errStopped)
		<-s.done
	}
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
