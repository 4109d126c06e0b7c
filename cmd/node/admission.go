package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rookery"
	"rookery/cluster/transport"
	"rookery/cmd/node/datadir"
	"rookery/storage/command"
	"rookery/storage/system"
)

// admit is the transport's JoinHandler: it uses the token up, registers the
// joiner, and gives it a certificate and the keys that all nodes share.
func (n *Node) admit(ctx context.Context, q transport.JoinRequest) (a transport.JoinAnswer, err error) {
	if n.groups == nil {
		return a, rookery.E("admit node", rookery.KindUnavailable, errors.New("this node is starting"))
	}
	info, err := datadir.ParseJoiner(q)
	if err != nil {
		return a, err
	}
	key, err := transport.KeyHash(q.Request)
	if err != nil {
		return a, err
	}
	if err := n.refuseTwin(q, info, key); err != nil {
		return a, err
	}
	_, err = n.groups.ProposeSystem(ctx, &command.Admit{
		ID: q.Token.ID, Hash: q.Token.Hash(), Node: q.Node, Key: key,
		Name: info.Name, Address: info.Address, Zone: info.Zone, Version: info.Version,
	})
	if rookery.Is(err, rookery.KindDenied) {
		err = rookery.E("admit node", rookery.KindConflict, err) // a good token: the joiner may hear why
	}
	if err != nil {
		return a, err
	}
	if err := n.groups.LearnMembers(); err != nil {
		return a, err
	}
	ring, err := n.rings.Tenant.Keys.Encode()
	if err != nil {
		return a, err
	}
	defer clear(ring)
	a, err = n.dir.Admit(q, ring, n.peers.Seeds(), n.deps.Clock())
	n.deps.Logger.Info("a node joins", "node", q.Node, "name", info.Name, "address", info.Address, "from", q.From)
	return a, err
}

// refuseTwin refuses a joiner with a good token whose name a member has, or
// whose address a living one has: the node file was copied and not changed.
// The token stays good.
func (n *Node) refuseTwin(q transport.JoinRequest, info datadir.Joiner, key [32]byte) error {
	i, err := n.system.Invitation(q.Token.ID)
	if err != nil || (transport.Invitation{ID: i.ID, Hash: i.Hash, Expires: time.Unix(0, i.Expires), UsedBy: i.UsedBy, UsedKey: i.UsedKey}).Admits(q.Token, q.Node, key, n.deps.Clock()) != nil {
		return nil // no good one, as far as this node knows: Admit decides
	}
	nodes, err := n.system.Nodes()
	if err != nil {
		return rookery.E("admit node", rookery.KindUnavailable, err)
	}
	for _, x := range nodes {
		if x.ID == q.Node || !x.Member() {
			continue
		}
		if x.Name == info.Name {
			return rookery.E("admit node", rookery.KindConflict, fmt.Errorf("a node called %q is in the cluster, at %s: set another name in the node file, or if that node is lost for ever, first run: rookery remove %s", x.Name, x.Address, x.ID))
		}
		if x.Address == info.Address && n.lives.Alive(x.ID) {
			return rookery.E("admit node", rookery.KindConflict, fmt.Errorf("node %s is reached at %s already: set cluster.advertise in the node file to where this machine is reached", x.Name, x.Address))
		}
	}
	return nil
}

// twins says which members bear one name, which operators could not tell apart.
func twins(nodes []system.Node, problem func(string, ...any)) {
	first := map[string]system.Node{}
	for _, x := range nodes {
		if !x.Member() {
			continue
		}
		if y, ok := first[x.Name]; ok {
			problem("nodes %s at %s and %s at %s are both called %s: set another name in the node file of one, and restart it", y.ID, y.Address, x.ID, x.Address, x.Name)
			continue
		}
		first[x.Name] = x
	}
}
