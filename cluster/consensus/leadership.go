package consensus

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"rookery"
)

// readyRetry is the pause before a new leader tries again to commit.
const readyRetry = 20 * time.Millisecond

// IsLeader reports whether this node believes it leads. It may be wrong for
// a moment: only Apply and ReadIndex are sure.
func (g *Group) IsLeader() bool { return g.raft.State() == raft.Leader }

// Leader is the node believed to lead; false if none is known.
func (g *Group) Leader() (rookery.NodeID, bool) {
	_, id := g.raft.LeaderWithID()
	return rookery.NodeID(id), id != ""
}

// LeaderChanges gives a channel that gets a value after Leader or IsLeader
// may have changed; several changes may come as one. It is closed with the
// group. Every call makes a channel, for the life of the group.
func (g *Group) LeaderChanges() <-chan struct{} {
	c := make(chan struct{}, 1)
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.closed:
		close(c)
	default:
		g.watchers = append(g.watchers, c)
	}
	return c
}

// Transfer moves leadership to another voter. The error is KindUnavailable;
// applies meanwhile are refused as not appended.
func (g *Group) Transfer(ctx context.Context, to rookery.NodeID) error {
	for _, s := range g.Servers() {
		if s.ID != to || s.Learner {
			continue
		}
		done := make(chan error, 1)
		g.transfers.Go(func() {
			done <- g.raft.LeadershipTransferToServer(raft.ServerID(to), raft.ServerAddress(s.Address)).Error()
		})
		select {
		case err := <-done:
			if err != nil {
				return rookery.E("transfer leadership", rookery.KindUnavailable, err)
			}
			return nil
		case <-ctx.Done():
			return rookery.E("transfer leadership", rookery.KindUnavailable, context.Cause(ctx))
		}
	}
	return rookery.E("transfer leadership", rookery.KindNotFound, fmt.Errorf("%q is no voter of group %d", to, g.id))
}

func (g *Group) wakeWatchers() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.readyChanged)
	g.readyChanged = make(chan struct{})
	for _, c := range g.watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (g *Group) closeWatchers() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.watchers {
		close(c)
	}
	g.watchers = nil
}

// becomeReady commits an entry of the new leader's own term: only then is
// its commit index known to contain everything acknowledged before. The
// entry is an empty command, not a barrier, because machines see commands:
// every index a barrier hands out later is one they reach.
func (g *Group) becomeReady(term uint64) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for g.leads(term) {
		done := make(chan error, 1)
		go func() { done <- g.commitOwn(ctx) }()
		var err error
		select {
		case err = <-done:
		case <-g.closed:
			return
		}
		if err == nil && g.leads(term) {
			g.mu.Lock()
			g.readyTerm = term
			close(g.readyChanged)
			g.readyChanged = make(chan struct{})
			g.mu.Unlock()
			g.logger.Info("leads: an entry of its term is committed", "term", term)
			return
		}
		timer := time.NewTimer(readyRetry)
		select {
		case <-timer.C:
		case <-g.closed:
			timer.Stop()
			return
		}
	}
}

// commitOwn commits the empty command. It counts as under way like every other,
// so that a close waits for its answer: the library answers no future that is
// left at shutdown.
func (g *Group) commitOwn(ctx context.Context) error {
	if err := g.inFlight.Acquire(ctx, 1); err != nil {
		return err
	}
	defer g.inFlight.Release(1)
	if g.stopping.Load() {
		return ErrClosed
	}
	return g.raft.Apply(nil, enqueueTimeout).Error()
}

// leads reports whether this node led in term at some moment of the call.
// The library leaves the leader state before it takes up a newer term, and
// takes up its own before it enters it, so a term read before and after
// belongs to the state between.
func (g *Group) leads(term uint64) bool {
	return g.raft.CurrentTerm() == term && g.raft.State() == raft.Leader && g.raft.CurrentTerm() == term
}

// leaderTerm waits until this node leads and is ready, and gives the term.
func (g *Group) leaderTerm(ctx context.Context) (uint64, error) {
	for {
		g.mu.Lock()
		ready, changed := g.readyTerm, g.readyChanged
		g.mu.Unlock()
		term := g.raft.CurrentTerm()
		if !g.leads(term) {
			return 0, rookery.E("read barrier", rookery.KindUnavailable, ErrNotLeader)
		}
		if ready == term {
			return term, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, rookery.E("read barrier", rookery.KindUnavailable, fmt.Errorf(
				"the new leader has not committed an entry yet: %w", context.Cause(ctx)))
		case <-g.closed:
			return 0, rookery.E("read barrier", rookery.KindUnavailable, ErrClosed)
		}
	}
}
