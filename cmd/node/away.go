package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"

	"rookery"
	"rookery/storage/account"
	"rookery/storage/command"
)

// The calls to a replica by nodes that have none.
const (
	callForward = "forward"
	callAccount = "account"
	callItems   = "items"
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
			alive:   n.lives.of(x).alive,
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
// may have run is not sent to another: that is the caller's to decide.
func (n *Node) askReplica(ctx context.Context, name string, q groupCall, wait time.Duration) (groupAnswer, error) {
	nodes, err := n.replicas(q.Group)
	if err != nil {
		return groupAnswer{}, err
	}
	last := rookery.E("ask a replica", rookery.KindUnavailable, fmt.Errorf("no node holds group %d", q.Group))
	for _, to := range nodes {
		ask, cancel := ctx, context.CancelFunc(func() {})
		if wait > 0 {
			ask, cancel = context.WithTimeout(ctx, wait)
		}
		a, err := n.mesh.ask(ask, to, name, q)
		cancel()
		if wait > 0 && rookery.Is(err, rookery.KindUnknown) {
			err = rookery.E("ask a replica", rookery.KindUnavailable, errors.New(err.Error())) // a question changes nothing
		}
		if !rookery.Is(err, rookery.KindUnavailable) || ctx.Err() != nil {
			return a, err
		}
		last = err
	}
	return groupAnswer{}, last
}

// Apply implements group. A node that does not answer soon is left in doubt:
// the road sends the command again, under its id, and to another.
func (a away) Apply(ctx context.Context, data []byte) (rookery.LogIndex, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	r, err := a.node.askReplica(ctx, callForward, groupCall{Group: a.id, Data: data}, 0)
	return r.Index, r.Data, err
}

// Barrier implements group: there is nothing here that could be shown.
func (a away) Barrier(context.Context) error { return a.none() }

// Wait implements group.
func (a away) Wait(context.Context, rookery.LogIndex) error { return a.none() }

func (a away) none() error {
	return rookery.E("read group", rookery.KindUnavailable, fmt.Errorf("group %d has no replica on this node", a.id))
}

// factsAway asks a replica for an account's facts.
func (n *Node) factsAway(ctx context.Context, id rookery.GroupID, who rookery.AccountID) (f account.Facts, err error) {
	a, err := n.askReplica(ctx, callAccount, groupCall{Group: id, Data: who[:]}, askWait)
	if err == nil {
		err = cbor.Unmarshal(a.Data, &f)
	}
	return f, err
}

// factsHere answers it. Only after a barrier is an account said not to exist:
// the one who asks may have just made it through the leader.
func (n *Node) factsHere(ctx context.Context, id rookery.GroupID, who rookery.AccountID) (f account.Facts, err error) {
	m := n.groups.machine(id)
	if m == nil {
		return f, away{n, id}.none()
	}
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

// maxItems bounds a page of items.
const maxItems = 1000

// itemsQuery asks for the open items behind one.
type itemsQuery struct {
	After command.ItemID `cbor:"1,keyasint"`
	Limit int            `cbor:"2,keyasint"`
}

// itemsAway asks a replica for a page of its group's open items.
func (n *Node) itemsAway(ctx context.Context, id rookery.GroupID, after command.ItemID, limit int) (ids []command.ItemID, err error) {
	q, err := cbor.Marshal(itemsQuery{after, limit})
	if err != nil {
		return nil, err
	}
	a, err := n.askReplica(ctx, callItems, groupCall{Group: id, Data: q}, leaderWait+askWait)
	if err == nil {
		err = cbor.Unmarshal(a.Data, &ids)
	}
	return ids, err
}

func (n *Node) itemsHere(ctx context.Context, q groupCall) (a groupAnswer, err error) {
	var ask itemsQuery
	if err := cbor.Unmarshal(q.Data, &ask); err != nil || ask.Limit < 1 || ask.Limit > maxItems {
		return a, rookery.E(callItems, rookery.KindInvalid, errors.New("malformed question"))
	}
	ids, err := n.deliver.ItemsHere(ctx, q.Group, ask.After, ask.Limit)
	if err == nil {
		a.Data, err = cbor.Marshal(ids)
	}
	return a, err
}

// serveAway answers nodes without a replica.
func (n *Node) serveAway() {
	n.mesh.handleGroup(callForward, func(ctx context.Context, q groupCall) (a groupAnswer, err error) {
		g := n.groups.raft.Group(q.Group)
		if g == nil {
			return a, away{n, q.Group}.none()
		}
		a.Index, a.Data, err = lead{g, n.mesh}.Apply(ctx, q.Data)
		return a, err
	})
	n.mesh.handleGroup(callAccount, func(ctx context.Context, q groupCall) (a groupAnswer, err error) {
		if len(q.Data) != len(rookery.AccountID{}) {
			return a, rookery.E(callAccount, rookery.KindInvalid, errors.New("no account is named"))
		}
		f, err := n.factsHere(ctx, q.Group, rookery.AccountID(q.Data))
		if err == nil {
			a.Data, err = cbor.Marshal(f)
		}
		return a, err
	})
}

// handleGroup answers calls about a group.
func (m *mesh) handleGroup(name string, fn func(context.Context, groupCall) (groupAnswer, error)) {
	m.Handle(name, func(ctx context.Context, _ rookery.NodeID, body []byte) ([]byte, error) {
		var q groupCall
		if err := cbor.Unmarshal(body, &q); err != nil {
			return nil, rookery.E(name, rookery.KindInvalid, err)
		}
		a, err := fn(ctx, q)
		if err != nil {
			return nil, err
		}
		return cbor.Marshal(a)
	})
}
