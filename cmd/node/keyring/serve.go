package keyring

import (
	"context"
	"fmt"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/storage/keys"
	"rookery/storage/system"
)

// put takes in a key that is about to come into use.
func (t *Ring) put(ctx context.Context, k keys.TenantKey) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if have, ok := t.Keys.Tenant(k.Version); ok && have.Fingerprint() == k.Fingerprint() {
		return nil
	}
	err := t.change(ctx, func(ring *keys.Keyring) error { return ring.Add(k) })
	if err == nil {
		t.moved()
	}
	return err
}

// mayHave refuses a key to a node that is no member, and to everybody before
// its coming into use is known here: by then it is known too who was removed
// before that.
func (t *Ring) mayHave(from rookery.NodeID, version uint32) error {
	x, err := t.replicas.System().Node(from)
	if err != nil || !x.Member() {
		return rookery.E("give key", rookery.KindDenied, fmt.Errorf("node %s is no member (%v)", from, err))
	}
	records, err := t.records()
	if err != nil {
		return err
	}
	use := system.InUse(records).Version
	if use == 0 {
		use = t.Keys.Current()
	}
	if version > use {
		return rookery.E("give key", rookery.KindUnavailable, fmt.Errorf("%s key version %d is not known to be in use here yet", t.name, version))
	}
	return nil
}

// serve answers other nodes about the ring. Who asks has shown the key that the
// registry has for it.
func (t *Ring) serve() {
	t.calls.Held.Serve(t.peers, func(context.Context, rookery.NodeID, peers.Nothing) (peers.HeldKeys, error) { return t.held() })
	t.calls.Get.Serve(t.peers, func(_ context.Context, from rookery.NodeID, q peers.Key) (peers.Key, error) {
		if err := t.mayHave(from, q.Version); err != nil {
			return peers.Key{}, err
		}
		k, ok := t.Keys.Tenant(q.Version)
		if !ok {
			return peers.Key{}, rookery.E("give key", rookery.KindNotFound, fmt.Errorf("%s key version %d is not here", t.name, q.Version))
		}
		t.logger.Info("a key goes to another node", "of", t.name, "version", q.Version, "to", from)
		return peers.Key{Version: q.Version, Secret: k.Secret()}, nil
	})
	t.calls.Put.Serve(t.peers, func(ctx context.Context, _ rookery.NodeID, q peers.Key) (none peers.Nothing, err error) {
		k, err := parseKey(q)
		if err != nil {
			return none, err
		}
		defer k.Clear()
		return none, t.put(ctx, k)
	})
	t.calls.Sync.Serve(t.peers, func(ctx context.Context, _ rookery.NodeID, _ peers.Nothing) (h peers.HeldKeys, err error) {
		if err := t.replicas.Barrier(ctx, rookery.SystemGroup); err != nil {
			return h, err
		}
		if err := t.Sync(ctx); err != nil {
			return h, err
		}
		return t.held()
	})
}

// parseKey takes a key that has travelled, and clears what it travelled in.
func parseKey(k peers.Key) (keys.TenantKey, error) {
	defer clear(k.Secret)
	return keys.ParseTenantKey(k.Version, k.Secret)
}

// keysHeld asks a member, this node included.
func (t *Ring) keysHeld(ctx context.Context, to rookery.NodeID) (peers.HeldKeys, error) {
	if to == t.self {
		return t.held()
	}
	ctx, cancel := context.WithTimeout(ctx, keyWait)
	defer cancel()
	return t.calls.Held.Ask(ctx, t.peers, to, peers.Nothing{})
}

func (t *Ring) getKey(ctx context.Context, to rookery.NodeID, version uint32) (keys.TenantKey, error) {
	ctx, cancel := context.WithTimeout(ctx, keyWait)
	defer cancel()
	k, err := t.calls.Get.Ask(ctx, t.peers, to, peers.Key{Version: version})
	if err != nil {
		return keys.TenantKey{}, err
	}
	return parseKey(k)
}
