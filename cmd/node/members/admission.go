package members

import (
	"context"
	"fmt"
	"time"

	"rookery"
	"rookery/cluster/transport"
	"rookery/cluster/transport/identity"
	"rookery/cmd/node/datadir"
	"rookery/storage/command"
)

// Admit is the transport's JoinHandler: it uses the token up, registers the
// joiner, and gives it a certificate and the keys that all nodes share.
func (r *Registry) Admit(ctx context.Context, q transport.JoinRequest) (a transport.JoinAnswer, err error) {
	info, err := datadir.ParseJoiner(q)
	if err != nil {
		return a, err
	}
	key, err := identity.KeyHash(q.Request)
	if err != nil {
		return a, err
	}
	if err := r.refuseTwin(q, info, key); err != nil {
		return a, err
	}
	_, err = r.o.Replicas.ProposeSystem(ctx, &command.Admit{
		ID: q.Token.ID, Hash: q.Token.Hash(), Node: q.Node, Key: key,
		Name: info.Name, Address: info.Address, Zone: info.Zone, Version: info.Version,
	})
	if rookery.Is(err, rookery.KindDenied) {
		err = rookery.E("admit node", rookery.KindConflict, err) // a good token: the joiner may hear why
	}
	if err != nil {
		return a, err
	}
	if err := r.o.Replicas.LearnMembers(); err != nil {
		return a, err
	}
	a, err = r.o.Dir.Admit(q, r.o.TenantKeys, r.o.Peers.Seeds(), r.o.Clock())
	r.o.Logger.Info("a node joins", "node", q.Node, "name", info.Name, "address", info.Address, "from", q.From)
	return a, err
}

// Invited reports whether a token is good as far as this node knows.
func (r *Registry) Invited(t identity.Token) bool {
	i, err := r.system.Invitation(t.ID)
	return err == nil && identity.Invitation{ID: i.ID, Hash: i.Hash, Expires: time.Unix(0, i.Expires)}.Invites(t, r.o.Clock())
}

// refuseTwin refuses a joiner with a good token whose name a member has, or
// whose address a living one has: the node file was copied and not changed.
// The token stays good.
func (r *Registry) refuseTwin(q transport.JoinRequest, info datadir.Joiner, key [32]byte) error {
	i, err := r.system.Invitation(q.Token.ID)
	if err != nil || (identity.Invitation{ID: i.ID, Hash: i.Hash, Expires: time.Unix(0, i.Expires), UsedBy: i.UsedBy,
		UsedKey: i.UsedKey}).Admits(q.Token, q.Node, key, r.o.Clock()) != nil {
		return nil // no good one, as far as this node knows: Admit decides
	}
	nodes, err := r.system.Nodes()
	if err != nil {
		return rookery.E("admit node", rookery.KindUnavailable, err)
	}
	for _, x := range nodes {
		if x.ID == q.Node || !x.Member() {
			continue
		}
		if x.Name == info.Name {
			return rookery.E("admit node", rookery.KindConflict,
				fmt.Errorf("a node called %q is in the cluster, at %s: set another name in the node file, or if that node is lost for ever, "+
					"first run: rookery remove %s", x.Name, x.Address, x.ID))
		}
		if x.Address == info.Address && r.o.Lives.Alive(x.ID) {
			return rookery.E("admit node", rookery.KindConflict,
				fmt.Errorf("node %s is reached at %s already: set cluster.advertise in the node file to where this machine is reached",
					x.Name, x.Address))
		}
	}
	return nil
}

// MintToken makes a token with which one node may join within a time, and the
// addresses to give along with it.
func (r *Registry) MintToken(ctx context.Context, valid time.Duration) (token string, addresses []string, err error) {
	ident := r.o.Peers.Certificate()
	t := identity.MintToken(ident.Cluster, ident.Issuer())
	now, err := r.o.Clocks.Now()
	if err != nil && r.o.Clocks.Skew() == 0 {
		now, err = r.o.Clock(), nil // too few nodes say what time it is: the token is how more come
	}
	if err == nil {
		_, err = r.o.Replicas.ProposeSystem(ctx, &command.Invite{ID: t.ID, Hash: t.Hash(), Expires: now.Add(valid).UnixNano()})
	}
	if err != nil {
		return "", nil, err
	}
	for _, s := range r.o.Peers.Seeds() {
		addresses = append(addresses, s.Address)
	}
	return t.Text(), addresses, nil
}
