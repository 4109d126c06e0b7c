package keyring

import (
	"context"
	"sync"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/storage/keys"
	"rookery/storage/system"
)

// eachMember calls fn for every member side by side.
func eachMember(nodes []system.Node, fn func(system.Node) error) map[rookery.NodeID]error {
	var mu sync.Mutex
	var all sync.WaitGroup
	errs := map[rookery.NodeID]error{}
	for _, x := range nodes {
		all.Go(func() {
			if err := fn(x); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs[x.ID] = err
			}
		})
	}
	all.Wait()
	return errs
}

// spread brings a key to every node, and says which have not taken it.
func (t *Ring) spread(ctx context.Context, nodes []system.Node, key keys.TenantKey) map[rookery.NodeID]error {
	return eachMember(nodes, func(x system.Node) error {
		if x.ID == t.self {
			return t.put(ctx, key)
		}
		ctx, cancel := context.WithTimeout(ctx, keyWait)
		defer cancel()
		_, err := t.calls.Put.Ask(ctx, t.peers, x.ID, peers.Key{Version: key.Version, Secret: key.Secret()})
		return err
	})
}

// heldBy asks nodes which keys they hold.
func (t *Ring) heldBy(ctx context.Context, nodes []system.Node) (map[rookery.NodeID]peers.HeldKeys, map[rookery.NodeID]error) {
	return heldAfter(nodes, func(x system.Node) (peers.HeldKeys, error) { return t.keysHeld(ctx, x.ID) })
}

// heldAfter gathers what every member says it holds.
func heldAfter(nodes []system.Node, ask func(system.Node) (peers.HeldKeys, error)) (map[rookery.NodeID]peers.HeldKeys,
	map[rookery.NodeID]error) {
	all := make([]peers.HeldKeys, len(nodes))
	at := map[rookery.NodeID]*peers.HeldKeys{}
	for i, x := range nodes {
		at[x.ID] = &all[i]
	}
	errs := eachMember(nodes, func(x system.Node) (err error) {
		*at[x.ID], err = ask(x)
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
