package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/storage/account"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// askWait bounds one node's answer to a small question.
const askWait = 3 * time.Second

// away is a group without a replica here, as the road sees it: any replica
// takes a command and passes it to the leader it knows.
type away struct {
	node *Node
	id   rookery.GroupID
}

func (n *Node) away(id rookery.GroupID) (group, error) {
	if n.groups == nil || id == rookery.SystemGroup {
		return nil, rookery.E("find group", rookery.KindUnavailable, fmt.Errorf("group %d does not run on this node yet", id))
	}
	return away{n, id}, nil
}

// replicas are the nodes to ask for a group, from the placement of this
// moment: those that answer before the others, those of this node's zone before
// farther ones, else in any order.
func (n *Node) replicas(id rookery.GroupID) ([]rookery.NodeID, error) {
	p, err := n.groups.system.Group(id)
	if err != nil {
		// Not placed as far as this node has heard: it may be behind.
		return nil, rookery.E("find replicas", rookery.KindUnavailable, err)
	}
	nodes := slices.Compact(slices.Sorted(slices.Values(slices.Concat(p.Members, p.Voters))))
	nodes = slices.DeleteFunc(nodes, func(x rookery.NodeID) bool { return x == n.id.Node })
	rand.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	byUse(nodes, func(x rookery.NodeID) use {
		return use{
			alive:   n.lives.Alive(x),
			settled: slices.Contains(p.Voters, x) && slices.Contains(p.Members, x),
			near:    n.near(x),
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
func (n *Node) near(id rookery.NodeID) bool {
	x, err := n.groups.system.Node(id)
	return err == nil && x.Zone != "" && x.Zone == n.cfg.Cluster.Zone
}

// askReplica asks one replica after the other until one has run the call. What
// may have run is not sent to another: that is the caller's to decide, unless
// it only asks something, which wait says by bounding each answer.
func askReplica[A any](ctx context.Context, n *Node, id rookery.GroupID, wait time.Duration, ask func(context.Context, rookery.NodeID) (A, error)) (a A, err error) {
	nodes, err := n.replicas(id)
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

// question is one that a replica of a group answers: the one here, or where
// there is none, one on another node.
type question[Q, A any] struct {
	node *Node
	call peers.GroupCall[Q, A]
	wait time.Duration
	here func(ctx context.Context, m *mailbox.Machine, id rookery.GroupID, q Q) (A, error)
}

// newQuestion answers the question for other nodes too, each of which waits
// that long.
func newQuestion[Q, A any](n *Node, call peers.GroupCall[Q, A], wait time.Duration,
	here func(context.Context, *mailbox.Machine, rookery.GroupID, Q) (A, error)) question[Q, A] {
	x := question[Q, A]{n, call, wait, here}
	call.Serve(n.peers, x.answer)
	return x
}

// ask asks a group.
func (x question[Q, A]) ask(ctx context.Context, id rookery.GroupID, q Q) (A, error) {
	if x.node.groups.machine(id) != nil {
		return x.answer(ctx, id, q)
	}
	return askReplica(ctx, x.node, id, x.wait, func(ctx context.Context, to rookery.NodeID) (A, error) {
		return x.call.Ask(ctx, x.node.peers, to, id, q)
	})
}

func (x question[Q, A]) answer(ctx context.Context, id rookery.GroupID, q Q) (a A, err error) {
	m := x.node.groups.machine(id)
	if m == nil {
		return a, away{x.node, id}.none()
	}
	return x.here(ctx, m, id, q)
}

// questions are those that nodes without a replica ask.
type questions struct {
	facts     question[rookery.AccountID, account.Facts]
	items     question[peers.ItemsAfter, []command.ItemID]
	census    question[peers.Nothing, mailbox.KeyCensus]
	strangers question[[]command.PackID, []command.PackID]
	holds     question[peers.Nothing, []mailbox.Hold]
}

// openQuestions answers them from now on, but facts, which are asked earlier.
func (n *Node) openQuestions() {
	const afterBarrier = leaderWait + askWait
	n.questions.items = newQuestion(n, peers.OpenItems, afterBarrier, n.itemsHere)
	n.questions.census = newQuestion(n, peers.KeyCensus, afterBarrier, n.censusHere)
	n.questions.strangers = newQuestion(n, peers.Strangers, afterBarrier, n.strangersHere)
	n.questions.holds = newQuestion(n, peers.Holds, afterBarrier, n.holdsHere)
}

// Apply implements group. A node that does not answer soon is left in doubt:
// the road sends the command again, under its id, and to another.
func (a away) Apply(ctx context.Context, data []byte) (rookery.LogIndex, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	r, err := askReplica(ctx, a.node, a.id, 0, func(ctx context.Context, to rookery.NodeID) (peers.Result, error) {
		return peers.Forward.Ask(ctx, a.node.peers, to, peers.Entry{Group: a.id, Data: data})
	})
	return r.Index, r.Data, err
}

// Barrier implements group: there is nothing here that could be shown.
func (a away) Barrier(context.Context) error { return a.none() }

// Wait implements group.
func (a away) Wait(context.Context, rookery.LogIndex) error { return a.none() }

func (a away) none() error {
	return rookery.E("read group", rookery.KindUnavailable, fmt.Errorf("group %d has no replica on this node", a.id))
}

// factsHere are an account's facts. Only after a barrier is an account said not
// to exist: the one who asks may have just made it through the leader.
func (n *Node) factsHere(ctx context.Context, m *mailbox.Machine, id rookery.GroupID, who rookery.AccountID) (f account.Facts, err error) {
	v, err := m.View(who)
	if rookery.Is(err, rookery.KindNotFound) {
		if err := n.road.Barrier(ctx, id); err != nil {
			return f, err
		}
		v, err = m.View(who)
	}
	if err != nil {
		return f, err
	}
	defer v.Close()
	return account.FactsOf(v.Account()), nil
}

// openItems is delivery's question for a page of a group's open items.
func (n *Node) openItems(ctx context.Context, id rookery.GroupID, after command.ItemID, limit int) ([]command.ItemID, error) {
	return n.questions.items.ask(ctx, id, peers.ItemsAfter{After: after, Limit: limit})
}

// maxItems bounds a page of items.
const maxItems = 1000

// itemsHere is a page of a group's open items.
func (n *Node) itemsHere(ctx context.Context, _ *mailbox.Machine, id rookery.GroupID, q peers.ItemsAfter) ([]command.ItemID, error) {
	if q.Limit < 1 || q.Limit > maxItems {
		return nil, rookery.E("list items", rookery.KindInvalid, errors.New("malformed question"))
	}
	return n.deliver.ItemsHere(ctx, id, q.After, q.Limit)
}

// serveForward passes on commands of nodes without a replica.
func (n *Node) serveForward() {
	peers.Forward.Serve(n.peers, func(ctx context.Context, _ rookery.NodeID, e peers.Entry) (a peers.Result, err error) {
		if n.groups.raft.Group(e.Group) == nil {
			return a, away{n, e.Group}.none()
		}
		a.Index, a.Data, err = n.groups.lead(e.Group).Apply(ctx, e.Data)
		return a, err
	})
}
