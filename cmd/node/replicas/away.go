package replicas

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/storage/mailbox"
)

// AskWait bounds one node's answer to a small question, AskBarrierWait one to a
// question that waits for a read barrier first.
const (
	AskWait        = 3 * time.Second
	AskBarrierWait = leaderWait + AskWait
)

// away is a group without a replica here, as the proposer sees it: any replica
// takes a command and passes it to the leader it knows.
type away struct {
	replicas *Replicas
	id       rookery.GroupID
}

func (r *Replicas) away(id rookery.GroupID) (group, error) {
	if id == rookery.SystemGroup {
		return nil, rookery.E("find group", rookery.KindUnavailable, fmt.Errorf("group %d does not run on this node yet", id))
	}
	return away{r, id}, nil
}

// NotHere is the error of a question about a group without a replica here.
func NotHere(id rookery.GroupID) error {
	return rookery.E("read group", rookery.KindUnavailable, fmt.Errorf("group %d has no replica on this node", id))
}

// Nodes are those to ask for a group, from the placement of this
// moment: those that answer before the others, those of this node's zone before
// farther ones, else in any order.
func (r *Replicas) Nodes(id rookery.GroupID) ([]rookery.NodeID, error) {
	p, err := r.system.Group(id)
	if err != nil {
		// Not placed as far as this node has heard: it may be behind.
		return nil, rookery.E("find replicas", rookery.KindUnavailable, err)
	}
	nodes := slices.Compact(slices.Sorted(slices.Values(slices.Concat(p.Members, p.Voters))))
	nodes = slices.DeleteFunc(nodes, func(x rookery.NodeID) bool { return x == r.opts.ID.Node })
	rand.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	byUse(nodes, func(x rookery.NodeID) use {
		return use{
			alive:   r.opts.Alive(x),
			settled: slices.Contains(p.Voters, x) && slices.Contains(p.Members, x),
			near:    r.near(x),
		}
	})
	return nodes, nil
}

// use is what a replica is good for.
type use struct {
	alive   bool
	settled bool // not on its way in or out
	near    bool // in this node's zone
}

// byUse puts the best first and keeps the order of equals.
func byUse(nodes []rookery.NodeID, of func(rookery.NodeID) use) {
	uses := make(map[rookery.NodeID]use, len(nodes))
	for _, x := range nodes {
		uses[x] = of(x)
	}
	rank := func(u use) int {
		switch {
		case !u.alive:
			return 3
		case !u.settled:
			return 2
		case !u.near:
			return 1
		}
		return 0
	}
	slices.SortStableFunc(nodes, func(a, b rookery.NodeID) int { return rank(uses[a]) - rank(uses[b]) })
}

// near reports whether a node stands in this one's zone.
func (r *Replicas) near(id rookery.NodeID) bool {
	x, err := r.system.Node(id)
	return err == nil && x.Zone != "" && x.Zone == r.opts.Config.Cluster.Zone
}

// askReplica asks one replica after the other until one has run the call. What
// may have run is not sent to another: that is the caller's to decide, unless
// it only asks something, which wait says by bounding each answer.
func askReplica[A any](ctx context.Context, r *Replicas, id rookery.GroupID, wait time.Duration,
	ask func(context.Context, rookery.NodeID) (A, error)) (a A, err error) {
	nodes, err := r.Nodes(id)
	if err != nil {
		return a, err
	}
	last := rookery.E("ask a replica", rookery.KindUnavailable, fmt.Errorf("no node holds group %d", id))
	for _, to := range nodes {
		asking, cancel := ctx, context.CancelFunc(func() {})
		if wait > 0 {
			asking, cancel = context.WithTimeout(ctx, wait)
		}
		a, err := ask(asking, to)
		cancel()
		if wait > 0 && rookery.Is(err, rookery.KindUnknown) {
			err = rookery.E("ask a replica", rookery.KindUnavailable, errors.New(err.Error())) // a question changes nothing
		}
		if !rookery.Is(err, rookery.KindUnavailable) || ctx.Err() != nil {
			return a, err
		}
		last = err
	}
	return a, last
}

// Question is one that a replica of a group answers: the one here, or where
// there is none, one on another node.
type Question[Q, A any] struct {
	replicas *Replicas
	call     peers.GroupCall[Q, A]
	wait     time.Duration
	answer   func(ctx context.Context, m *mailbox.Machine, id rookery.GroupID, q Q) (A, error)
}

// NewQuestion has the question answered for other nodes too. Wait bounds the
// answer of each node that is asked.
func NewQuestion[Q, A any](r *Replicas, call peers.GroupCall[Q, A], wait time.Duration,
	answer func(ctx context.Context, m *mailbox.Machine, id rookery.GroupID, q Q) (A, error)) *Question[Q, A] {
	x := &Question[Q, A]{r, call, wait, answer}
	call.Serve(r.opts.Peers, x.here)
	return x
}

// Ask asks a group.
func (x *Question[Q, A]) Ask(ctx context.Context, id rookery.GroupID, q Q) (A, error) {
	if x.replicas.Machine(id) != nil {
		return x.here(ctx, id, q)
	}
	return askReplica(ctx, x.replicas, id, x.wait, func(ctx context.Context, to rookery.NodeID) (A, error) {
		return x.call.Ask(ctx, x.replicas.opts.Peers, to, id, q)
	})
}

func (x *Question[Q, A]) here(ctx context.Context, id rookery.GroupID, q Q) (a A, err error) {
	m := x.replicas.Machine(id)
	if m == nil {
		return a, NotHere(id)
	}
	return x.answer(ctx, m, id, q)
}

// Apply implements group. A node that does not answer soon is left in doubt:
// the proposer sends the command again, under its id, and to another.
func (a away) Apply(ctx context.Context, data []byte) (rookery.LogIndex, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, AskWait)
	defer cancel()
	r, err := askReplica(ctx, a.replicas, a.id, 0, func(ctx context.Context, to rookery.NodeID) (peers.Result, error) {
		return peers.Forward.Ask(ctx, a.replicas.opts.Peers, to, peers.Entry{Group: a.id, Data: data})
	})
	return r.Index, r.Data, err
}

// Barrier implements group: there is nothing here that could be shown.
func (a away) Barrier(context.Context) error { return NotHere(a.id) }

// Wait implements group.
func (a away) Wait(context.Context, rookery.LogIndex) error { return NotHere(a.id) }
