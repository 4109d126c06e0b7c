package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/peers"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/mailbox"
	"rookery/storage/system"
)

// rotateTenant makes a new tenant key, brings it to every node, and only then
// has it used. A node that lives and does not take it stops the rotation; dead
// ones do not, as long as a majority of every group has it.
func (n *Node) rotateTenant(ctx context.Context) (r adminapi.RotatedKey, err error) {
	const op = "rotate tenant key"
	if err := n.keysCurrent(ctx); err != nil {
		return r, err
	}
	nodes, err := n.keyMembers()
	if err != nil {
		return r, err
	}
	held, _ := n.tenant.heldBy(ctx, nodes)
	records, err := n.system.TenantKeys()
	if err != nil {
		return r, err
	}
	key := n.nextKey(held, records)
	defer key.Clear()
	errs := n.tenant.spread(ctx, nodes, key)
	if err := n.enoughHave(nodes, errs); err != nil {
		return r, rookery.E(op, rookery.KindUnavailable, err)
	}
	if _, err := n.propose(ctx, &command.SetTenantKey{Version: key.Version, Fingerprint: key.Fingerprint()}); err != nil {
		return r, err
	}
	r = adminapi.RotatedKey{Version: key.Version, Without: []string{}}
	for _, x := range nodes {
		if errs[x.ID] != nil {
			r.Without = append(r.Without, x.Name)
		}
	}
	n.deps.Logger.Info("a tenant key came into use", "version", key.Version, "without", r.Without)
	n.syncKeys(ctx, nodes)
	return r, nil
}

// nextKey is the key to bring into use: the one that an earlier rotation, which
// did not come to its end, has brought to nodes, else a new one. So rings do
// not grow with every attempt.
func (n *Node) nextKey(held map[rookery.NodeID]peers.HeldKeys, records []system.TenantKey) keys.TenantKey {
	top := n.tenant.ring.Current()
	for _, r := range records {
		top = max(top, r.Version)
	}
	known := top
	for _, h := range held {
		for v := range h.Held {
			top = max(top, v)
		}
	}
	begun, ok := n.tenant.ring.Tenant(top)
	if !ok || top == known {
		return keys.NewTenantKey(top + 1)
	}
	for _, h := range held {
		if print, has := h.Held[top]; has && print != begun.Fingerprint() {
			return keys.NewTenantKey(top + 1)
		}
	}
	return begun
}

// keysCurrent brings what this node knows of the keys up to now.
func (n *Node) keysCurrent(ctx context.Context) error {
	if err := n.groups.Proposable(command.Encode(&command.KeyFloor{})); err != nil {
		return err
	}
	if err := n.groups.Barrier(ctx, rookery.SystemGroup); err != nil {
		return err
	}
	return n.tenant.sync(ctx)
}

// spread brings a key to every node, and says which have not taken it.
func (t *keyRing) spread(ctx context.Context, nodes []system.Node, key keys.TenantKey) map[rookery.NodeID]error {
	return eachMember(nodes, func(x system.Node) error {
		if x.ID == t.node.id.Node {
			return t.put(ctx, key)
		}
		ctx, cancel := context.WithTimeout(ctx, keyWait)
		defer cancel()
		_, err := t.calls.Put.Ask(ctx, t.node.peers, x.ID, peers.Key{Version: key.Version, Secret: key.Secret()})
		return err
	})
}

// enoughHave refuses to use a key that a living node has not taken, or that is
// on no majority of the members or of some group.
func (n *Node) enoughHave(nodes []system.Node, errs map[rookery.NodeID]error) error {
	for _, x := range nodes {
		if err := errs[x.ID]; err != nil && (x.ID == n.id.Node || n.lives.Alive(x.ID)) {
			return fmt.Errorf("node %s lives and has not taken the new key: %w; nothing has changed, try again", x.Name, err)
		}
	}
	if 2*len(errs) >= len(nodes) && len(errs) > 0 {
		return fmt.Errorf("%d of %d nodes are down: start them first, so that the new key is on a majority", len(errs), len(nodes))
	}
	groups, err := n.system.Groups()
	if err != nil {
		return err
	}
	for _, g := range groups {
		away := 0
		for _, v := range g.Voters {
			if errs[v] != nil {
				away++
			}
		}
		if !g.Void && 2*away >= len(g.Voters) && away > 0 {
			return fmt.Errorf("%d of the %d voters of group %d are down: start them first", away, len(g.Voters), g.Group)
		}
	}
	return nil
}

// syncKeys has every node follow the record now. Who does not will by itself.
func (n *Node) syncKeys(ctx context.Context, nodes []system.Node) map[rookery.NodeID]error {
	return eachMember(nodes, func(x system.Node) error {
		if x.ID == n.id.Node {
			return n.keysCurrent(ctx)
		}
		ctx, cancel := context.WithTimeout(ctx, keyWait)
		defer cancel()
		_, err := n.tenant.calls.Sync.Ask(ctx, n.peers, x.ID, peers.Nothing{})
		return err
	})
}

// heldBy asks nodes which keys they hold.
func (t *keyRing) heldBy(ctx context.Context, nodes []system.Node) (map[rookery.NodeID]peers.HeldKeys, map[rookery.NodeID]error) {
	all := make([]peers.HeldKeys, len(nodes))
	at := map[rookery.NodeID]*peers.HeldKeys{}
	for i, x := range nodes {
		at[x.ID] = &all[i]
	}
	errs := eachMember(nodes, func(x system.Node) (err error) {
		*at[x.ID], err = t.keysHeld(ctx, x.ID)
		return err
	})
	held := map[rookery.NodeID]peers.HeldKeys{}
	for id, h := range at {
		if errs[id] == nil {
			held[id] = *h
		}
	}
	return held, errs
}

// destroyTenant destroys tenant key versions below the one in use, all where
// none is named, on every node. It fails closed: a node that does not answer, a
// group without a leader, or an account that a version still wraps, and nothing
// is destroyed. Repeating it is right after every error.
func (n *Node) destroyTenant(ctx context.Context, versions ...uint32) (destroyed []uint32, err error) {
	const op = "destroy tenant key"
	if err := n.keysCurrent(ctx); err != nil {
		return nil, err
	}
	nodes, err := n.keyMembers()
	if err != nil {
		return nil, err
	}
	held, errs := n.tenant.heldBy(ctx, nodes)
	if err := n.namely(nodes, errs); err != nil {
		return nil, rookery.E(op, rookery.KindUnavailable, fmt.Errorf("a key is destroyed on every node or on none, and these do not answer: %w; start them, or take them off with rookery remove", err))
	}
	use := n.tenant.ring.Current()
	if len(versions) == 0 {
		versions = below(held, use)
	}
	if len(versions) == 0 {
		return []uint32{}, nil
	}
	if top := slices.Max(versions); top >= use {
		return nil, rookery.E(op, rookery.KindConflict, fmt.Errorf("version %d is in use: run rookery key rotate first", top))
	}
	if err := n.nothingUnder(ctx, slices.Max(versions)); err != nil {
		return nil, err
	}
	for _, v := range versions {
		if _, err := n.propose(ctx, &command.SetTenantKey{Version: v, Destroyed: true}); err != nil {
			return nil, err
		}
	}
	n.deps.Logger.Info("tenant keys are destroyed", "versions", versions)
	errs = n.syncKeys(ctx, nodes)
	held, more := n.tenant.heldBy(ctx, nodes)
	maps.Copy(errs, more)
	for id, h := range held {
		for _, v := range versions {
			if _, still := h.Held[v]; still {
				errs[id] = fmt.Errorf("it still holds version %d", v)
			}
		}
	}
	if err := n.namely(nodes, errs); err != nil {
		return versions, rookery.E(op, rookery.KindUnavailable, fmt.Errorf("the versions %v are given up, but not yet gone from: %w; they go when these nodes are back. Run it again to be sure", versions, err))
	}
	return versions, nil
}

// below are the versions below one that some node holds, rising.
func below(held map[rookery.NodeID]peers.HeldKeys, use uint32) []uint32 {
	seen := map[uint32]bool{}
	for _, h := range held {
		for v := range h.Held {
			if v < use {
				seen[v] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// namely is the errors of nodes with their names, nil where there are none.
func (n *Node) namely(nodes []system.Node, errs map[rookery.NodeID]error) error {
	var all []string
	for _, x := range nodes {
		if err := errs[x.ID]; err != nil {
			all = append(all, fmt.Sprintf("%s (%v)", x.Name, err))
		}
	}
	if len(all) == 0 {
		return nil
	}
	return errors.New(strings.Join(all, ", "))
}

// nothingUnder makes sure that no group has, or ever takes again, an account
// key wrapped under a version up to top.
func (n *Node) nothingUnder(ctx context.Context, top uint32) error {
	const op = "destroy tenant key"
	groups, err := n.system.Groups()
	if err != nil {
		return err
	}
	for _, g := range groups {
		if g.Group == rookery.SystemGroup || g.Void {
			continue
		}
		// The floor comes first: what it lets through, the count sees.
		if err := n.proposeTo(ctx, g.Group, &command.KeyFloor{Version: top + 1}); err != nil {
			return err
		}
		c, err := n.questions.census.Ask(ctx, g.Group, peers.Nothing{})
		if err != nil {
			return err
		}
		left := 0
		for v, count := range c.Under {
			if v <= top {
				left += count
			}
		}
		if left > 0 {
			return rookery.E(op, rookery.KindConflict, fmt.Errorf("%d accounts of group %d are still wrapped under version %d or older: its leader rewraps them; how far it is shows in rookery key status", left, g.Group, top))
		}
	}
	return nil
}

// proposeTo has a mail group agree on a command.
func (n *Node) proposeTo(ctx context.Context, group rookery.GroupID, c command.Command) error {
	return n.bodies.propose(ctx, group, c)
}

// censusHere counts a group's accounts by tenant key version, as of now.
func (n *Node) censusHere(ctx context.Context, m *mailbox.Machine, id rookery.GroupID, _ peers.Nothing) (c mailbox.KeyCensus, err error) {
	if err := n.groups.Barrier(ctx, id); err != nil {
		return c, err
	}
	if c, err = m.KeyCensus(); err == nil {
		for v := range c.Under {
			if v < n.tenant.ring.Current() {
				n.pokeRewrap(id)
			}
		}
	}
	return c, err
}
