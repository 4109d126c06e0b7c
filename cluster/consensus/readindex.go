package consensus

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"

	"rookery"
)

// ReadIndex gives an index that contains everything acknowledged by any
// node before the call: a reader on any replica that has waited for it
// (Wait) reads linearizably. It must be asked of the leader; anywhere else,
// and on a leader that was deposed without knowing, it is KindUnavailable.
//
// The library's own VerifyLeader is not used: it accepts answers given
// before the question and so can confirm a deposed leader.
func (g *Group) ReadIndex(ctx context.Context) (rookery.LogIndex, error) {
	if g.stopping.Load() {
		return 0, rookery.E("read barrier", rookery.KindUnavailable, ErrClosed)
	}
	if g.alone() {
		return g.readAlone(ctx)
	}
	r := g.rounds.join(g)
	if r == nil {
		return 0, rookery.E("read barrier", rookery.KindUnavailable, ErrClosed)
	}
	select {
	case <-r.done:
		return r.index, r.err
	case <-ctx.Done():
		return 0, rookery.E("read barrier", rookery.KindUnavailable, context.Cause(ctx))
	}
}

// rounds lets readers share questions: one round is under way at most, and
// who comes meanwhile is served by the next, which begins after they came.
type rounds struct {
	mu      sync.Mutex
	running bool
	closed  bool
	next    *round
	work    sync.WaitGroup
}

type round struct {
	done  chan struct{}
	index rookery.LogIndex
	err   error
}

// join gives a round that has not begun, nil when the group is closed.
func (s *rounds) join(g *Group) *round {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	if s.next == nil {
		s.next = &round{done: make(chan struct{})}
	}
	r := s.next
	if !s.running {
		s.running = true
		s.work.Go(func() { s.run(g) })
	}
	return r
}

// run does rounds until nobody waits for one.
func (s *rounds) run(g *Group) {
	for {
		s.mu.Lock()
		r := s.next
		if r == nil {
			s.running = false
			s.mu.Unlock()
			return
		}
		s.next = nil
		s.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), 4*g.node.Heartbeat)
		r.index, r.err = g.readIndex(ctx)
		cancel()
		close(r.done)
	}
}

// close refuses new readers and waits for those there are.
func (s *rounds) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.work.Wait()
}

// readIndex notes the commit index, and then has a quorum confirm that no
// newer term existed at that moment: a voter that had joined one would
// answer with it, and a newer leader needs a quorum of such voters.
func (g *Group) readIndex(ctx context.Context) (rookery.LogIndex, error) {
	term, err := g.leaderTerm(ctx)
	if err != nil {
		return 0, err
	}
	index := rookery.LogIndex(g.raft.CommitIndex())
	confirm := g.confirm
	if byLibrary {
		confirm = g.verify
	}
	if err := confirm(ctx, term); err != nil {
		return 0, rookery.E("read barrier", rookery.KindUnavailable, err)
	}
	return index, nil
}

// verify is the library's barrier, for tests that show what it is worth.
func (g *Group) verify(context.Context, uint64) error { return g.raft.VerifyLeader().Error() }

// readAlone is readIndex for the only voter, whose own answer is a quorum.
func (g *Group) readAlone(ctx context.Context) (rookery.LogIndex, error) {
	term, err := g.leaderTerm(ctx)
	if err != nil {
		return 0, err
	}
	index := rookery.LogIndex(g.raft.CommitIndex())
	// Still the only voter, and still leading: a voter added since then has
	// a quorum only together with this node.
	if !g.leads(term) {
		return 0, rookery.E("read barrier", rookery.KindUnavailable, ErrNotLeader)
	}
	return index, nil
}

// confirm asks the voters for their terms and returns nil when a quorum,
// this node included, answers term.
func (g *Group) confirm(ctx context.Context, term uint64) error {
	var others []Server
	voters, self := 0, 0
	for _, s := range g.Servers() {
		switch {
		case s.Learner:
		case s.ID == g.node.Node:
			voters++
			self = 1
		default:
			voters++
			others = append(others, s)
		}
	}
	need := voters/2 + 1 - self
	if need > len(others) || (need > 0 && g.node.Peers == nil) {
		return fmt.Errorf("no quorum can be asked: %d voters", voters)
	}
	if need > 0 {
		if err := g.ask(ctx, term, others, need); err != nil {
			return err
		}
	}
	// This node's own answer, given after the question like the others'.
	if !g.leads(term) {
		return ErrNotLeader
	}
	return nil
}

func (g *Group) ask(ctx context.Context, term uint64, others []Server, need int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		from rookery.NodeID
		term uint64
		err  error
	}
	answers := make(chan answer, len(others))
	for _, s := range others {
		g.rounds.work.Go(func() {
			t, err := g.node.Peers.CurrentTerm(ctx, s, g.id)
			answers <- answer{s.ID, t, err}
		})
	}
	var last error
	for left := len(others); need > 0; left-- {
		if left < need {
			return fmt.Errorf("no quorum answered: %w", last)
		}
		select {
		case a := <-answers:
			switch {
			case a.err != nil:
				last = fmt.Errorf("%s: %w", a.from, a.err)
			case a.term > term:
				return fmt.Errorf("%w: %s is in term %d, this node leads term %d", ErrNotLeader, a.from, a.term, term)
			case a.term == term:
				need--
			default:
				last = fmt.Errorf("%s is still in term %d", a.from, a.term)
			}
		case <-ctx.Done():
			return fmt.Errorf("no quorum answered in time: %w", context.Cause(ctx))
		}
	}
	return nil
}

// alone reports whether this node is the only voter: then nobody need be
// asked, and no round need be shared.
func (g *Group) alone() bool {
	servers := g.configuration().Servers
	voters, self := 0, false
	for i := range servers {
		if servers[i].Suffrage == raft.Voter {
			voters++
			self = self || servers[i].ID == raft.ServerID(g.node.Node)
		}
	}
	return voters == 1 && self
}
