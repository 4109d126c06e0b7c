package keyring

import (
	"context"
	"fmt"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/peers"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/system"
)

// Rotate makes a new tenant key, brings it to every node, and only then
// has it used. A node that lives and does not take it stops the rotation; dead
// ones do not, as long as a majority of every group has it.
func (s *Service) Rotate(ctx context.Context) (r adminapi.RotatedKey, err error) {
	const op = "rotate tenant key"
	if err := s.bringUpToNow(ctx); err != nil {
		return r, err
	}
	nodes, err := s.replicas.Members()
	if err != nil {
		return r, err
	}
	held, _ := s.tenant.heldBy(ctx, nodes)
	records, err := s.system.TenantKeys()
	if err != nil {
		return r, err
	}
	key := s.nextKey(held, records)
	defer key.Clear()
	errs := s.tenant.spread(ctx, nodes, key)
	if err := s.enoughHave(nodes, errs); err != nil {
		return r, rookery.E(op, rookery.KindUnavailable, err)
	}
	if _, err := s.replicas.ProposeSystem(ctx, &command.SetTenantKey{Version: key.Version, Fingerprint: key.Fingerprint()}); err != nil {
		return r, err
	}
	r = adminapi.RotatedKey{Version: key.Version, Without: []string{}}
	for _, x := range nodes {
		if errs[x.ID] != nil {
			r.Without = append(r.Without, x.Name)
		}
	}
	s.o.Logger.Info("a tenant key came into use", "version", key.Version, "without", r.Without)
	s.syncTenant(ctx, nodes)
	return r, nil
}

// nextKey is the key to bring into use: the one that an earlier rotation, which
// did not come to its end, has brought to nodes, else a new one. So rings do
// not grow with every attempt.
func (s *Service) nextKey(held map[rookery.NodeID]peers.HeldKeys, records []system.TenantKey) keys.TenantKey {
	top := s.tenant.Keys.Current()
	for _, r := range records {
		top = max(top, r.Version)
	}
	known := top
	for _, h := range held {
		for v := range h.Held {
			top = max(top, v)
		}
	}
	begun, ok := s.tenant.Keys.Tenant(top)
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

// bringUpToNow brings what this node knows of the keys up to now.
func (s *Service) bringUpToNow(ctx context.Context) error {
	if err := s.replicas.Proposable(command.Encode(&command.KeyFloor{})); err != nil {
		return err
	}
	if err := s.replicas.Barrier(ctx, rookery.SystemGroup); err != nil {
		return err
	}
	return s.tenant.Sync(ctx)
}

// enoughHave refuses to use a key that a living node has not taken, or that is
// on no majority of the members or of some group.
func (s *Service) enoughHave(nodes []system.Node, errs map[rookery.NodeID]error) error {
	for _, x := range nodes {
		if err := errs[x.ID]; err != nil && (x.ID == s.o.Self || s.o.Lives.Alive(x.ID)) {
			return fmt.Errorf("node %s lives and has not taken the new key: %w; nothing has changed, try again", x.Name, err)
		}
	}
	if 2*len(errs) >= len(nodes) && len(errs) > 0 {
		return fmt.Errorf("%d of %d nodes are down: start them first, so that the new key is on a majority", len(errs), len(nodes))
	}
	groups, err := s.system.Groups()
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

// syncTenant has every node follow the record now, and says what each holds
// then. Who does not will by itself.
func (s *Service) syncTenant(ctx context.Context, nodes []system.Node) (map[rookery.NodeID]peers.HeldKeys, map[rookery.NodeID]error) {
	return heldAfter(nodes, func(x system.Node) (peers.HeldKeys, error) {
		if x.ID == s.o.Self {
			if err := s.bringUpToNow(ctx); err != nil {
				return peers.HeldKeys{}, err
			}
			return s.tenant.held()
		}
		ctx, cancel := context.WithTimeout(ctx, keyWait)
		defer cancel()
		return s.tenant.calls.Sync.Ask(ctx, s.o.Peers, x.ID, peers.Nothing{})
	})
}
