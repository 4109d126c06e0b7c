package replicas

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"rookery"
	"rookery/cmd/node/datadir"
	"rookery/storage/state"
)

// group is what the proposer needs of a Raft group.
type group interface {
	Apply(ctx context.Context, data []byte) (rookery.LogIndex, []byte, error)
	Barrier(ctx context.Context) error
	Wait(ctx context.Context, index rookery.LogIndex) error
}

// proposer is the way of commands into the groups: it puts each into an
// envelope with an id of this node's epoch, and sends a doubtful one again under
// the same id until its outcome is known or ctx ends. One that certainly nobody
// has taken it gives up after patience. It is account.Log.
type proposer struct {
	node  rookery.NodeID
	epoch uint64
	clock func() time.Time
	// check refuses commands that may not be proposed; nil: none.
	check func(cmd []byte) error
	// ended is closed when the node closes: nothing is sent any more.
	ended <-chan struct{}

	// committed and waited hear how long commands and reads waited; nil: nobody.
	committed func(id rookery.GroupID, err error, took time.Duration)
	waited    func(seconds float64)

	// between is Tuning.Apply.
	between func(context.Context, rookery.GroupID, []byte, Way) (rookery.LogIndex, []byte, error)

	// away is the way to a group without a replica here; nil: there is none.
	away func(rookery.GroupID) (group, error)

	mu     sync.Mutex
	groups map[rookery.GroupID]group
	// numbers number this node's commands for as long as the epoch lasts,
	// whichever way they take: a number must never name two commands.
	numbers map[rookery.GroupID]*state.Proposer
}

// How long the proposer waits before it sends again.
const (
	retryFirst = 5 * time.Millisecond
	retryMost  = 250 * time.Millisecond
	// patience is how long a command that nobody has taken waits for a leader:
	// longer than any election, shorter than a client's wait for its reply.
	patience = 10 * time.Second
)

func newProposer(id datadir.Identity, clock func() time.Time, ended <-chan struct{}) *proposer {
	return &proposer{node: id.Node, epoch: id.Epoch, clock: clock, ended: ended, groups: map[rookery.GroupID]group{},
		numbers: map[rookery.GroupID]*state.Proposer{}}
}

// add makes the replica here the way to a group.
func (r *proposer) add(id rookery.GroupID, g group) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.groups[id] = g
}

// remove ends the way through a replica here: commands go to another.
func (r *proposer) remove(id rookery.GroupID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.groups, id)
}

// find gives the way to a group now; it is asked anew for every attempt, for
// groups come and go.
func (r *proposer) find(id rookery.GroupID) (group, error) {
	r.mu.Lock()
	g, ok := r.groups[id]
	r.mu.Unlock()
	if ok {
		return g, nil
	}
	if r.away == nil {
		return nil, rookery.E("find group", rookery.KindUnavailable, fmt.Errorf("group %d has no replica on this node", id))
	}
	return r.away(id)
}

func (r *proposer) number(id rookery.GroupID) *state.Proposer {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.numbers[id]
	if p == nil {
		p = state.NewProposer(r.node, r.epoch, r.clock)
		r.numbers[id] = p
	}
	return p
}

// Apply is account.Log's. An error is about the way there only.
func (r *proposer) Apply(ctx context.Context, id rookery.GroupID, cmd []byte) (rookery.LogIndex, []byte, error) {
	if r.committed == nil {
		return r.apply(ctx, id, cmd)
	}
	began := time.Now()
	index, result, err := r.apply(ctx, id, cmd)
	r.committed(id, err, time.Since(began))
	return index, result, err
}

func (r *proposer) apply(ctx context.Context, id rookery.GroupID, cmd []byte) (rookery.LogIndex, []byte, error) {
	if _, err := r.find(id); err != nil {
		return 0, nil, err
	}
	if r.check != nil {
		if err := r.check(cmd); err != nil {
			return 0, nil, err
		}
	}
	header, done, err := r.number(id).Next(ctx)
	if err != nil {
		return 0, nil, err
	}
	defer done()
	entry := state.Wrap(header, cmd)
	began, doubt := time.Now(), false
	gaveUp := func(err error) (rookery.LogIndex, []byte, error) {
		if doubt {
			return 0, nil, rookery.E("apply", rookery.KindUnknown, err)
		}
		return 0, nil, rookery.E("apply", rookery.KindUnavailable, err)
	}
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		index, result, err := r.attempt(ctx, id, entry)
		if err == nil {
			return r.outcome(index, result)
		}
		kind := rookery.KindOf(err)
		doubt = doubt || kind == rookery.KindUnknown
		if kind != rookery.KindUnknown && kind != rookery.KindUnavailable {
			return 0, nil, err
		}
		if !doubt && time.Since(began) >= patience {
			return gaveUp(err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return gaveUp(err)
		case <-r.ended:
			return gaveUp(err)
		}
	}
}

func (r *proposer) attempt(ctx context.Context, id rookery.GroupID, entry []byte) (rookery.LogIndex, []byte, error) {
	g, err := r.find(id)
	if err != nil {
		return 0, nil, err
	}
	if r.between != nil {
		return r.between(ctx, id, entry, g.Apply)
	}
	return g.Apply(ctx, entry)
}

// outcome tells the machine's answer from the envelope's own refusals, after
// which nobody can say whether an earlier copy was applied.
func (r *proposer) outcome(index rookery.LogIndex, result []byte) (rookery.LogIndex, []byte, error) {
	err := state.ResultError("apply", result)
	if errors.Is(err, state.ErrFenced) || errors.Is(err, state.ErrForgotten) {
		return 0, nil, err
	}
	return index, result, nil
}

// leaderWait is how long a read waits for a group that has no leader: longer
// than an election takes, so that a killed node is a pause and no failure.
const leaderWait = 4 * time.Second

// Barrier is account.Log's.
func (r *proposer) Barrier(ctx context.Context, id rookery.GroupID) error {
	began := time.Now()
	err := r.barrier(ctx, id)
	if r.waited != nil && err == nil {
		r.waited(time.Since(began).Seconds())
	}
	return err
}

func (r *proposer) barrier(ctx context.Context, id rookery.GroupID) error {
	g, err := r.find(id)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, leaderWait)
	defer cancel()
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		if _, none := g.(away); none {
			return g.Barrier(ctx)
		}
		err := g.Barrier(ctx)
		if kind := rookery.KindOf(err); err == nil || kind != rookery.KindUnavailable && kind != rookery.KindUnknown {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return rookery.E("read barrier", rookery.KindUnavailable, err)
		}
	}
}

// Wait is account.Log's.
func (r *proposer) Wait(ctx context.Context, id rookery.GroupID, index rookery.LogIndex) error {
	g, err := r.find(id)
	if err != nil {
		return err
	}
	return g.Wait(ctx, index)
}
