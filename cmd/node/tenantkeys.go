package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"rookery"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/peers"
	"rookery/storage/keys"
	"rookery/storage/system"
)

// keyRing is this node's ring of the versions of one key, the tenant's or the
// settings', in memory and in its source, kept up with what the cluster has
// agreed on: every node holds the versions that something needs, no node one
// that was destroyed. Keys travel between nodes over mutual TLS and in no other
// way.
type keyRing struct {
	name  string // tenant or settings
	calls peers.RingCalls
	node  *Node
	// records are what the cluster has agreed on, moved hears of every change
	// of the ring.
	records func() ([]system.TenantKey, error)
	moved   func()
	ring    *keys.Keyring
	source  datadir.KeySource
	// lost is that the source had none at the start: the cluster gives it.
	lost bool

	mu sync.Mutex // one change at a time, in memory and on disk
}

// keyWait bounds one node's answer about its keys: it may have to run a
// command and write a file.
const keyWait = datadir.KeyCommandTime + 10*time.Second

// openTenantRing reads the keyring, without which no message can be read.
// Where it is missing, the rest of the cluster is asked once it can be.
func openTenantRing(ctx context.Context, n *Node) (*keyRing, error) {
	t := &keyRing{name: "tenant", calls: peers.Ring("tenant"), node: n, source: n.dir.TenantKeys(n.cfg.Keys.Command), moved: n.tenantMoved}
	t.records = func() ([]system.TenantKey, error) { return n.system.TenantKeys() }
	return t, t.open(ctx)
}

func (t *keyRing) open(ctx context.Context) (err error) {
	if t.ring, err = t.source.Load(ctx); rookery.Is(err, rookery.KindNotFound) {
		t.ring, t.lost, err = new(keys.Keyring), true, nil
	}
	return err
}

// tenantMoved has accounts looked at again.
func (n *Node) tenantMoved() {
	n.topics.publish(topicAccountKeys)
	if a := n.bodies.accounts.Load(); a != nil {
		a.KeysChanged()
	}
}

// find ends a start without keys: the cluster gives them, or it cannot go on.
func (t *keyRing) find(ctx context.Context) error {
	if err := t.sync(ctx); err != nil && !t.lost {
		t.node.deps.Logger.Warn("the "+t.name+" keys are not those of the cluster yet", "error", err)
	}
	if !t.lost {
		return nil
	}
	return rookery.E("open "+t.name+" keys", rookery.KindDamaged,
		fmt.Errorf("%s is missing, what it opens cannot be read without it, and no other node gives it: start another node first, or bring it back from the recovery kit: rookery key restore KIT -data %s", t.source.Path(), t.node.cfg.DataDir))
}

// change changes the ring where its source takes the change first.
func (t *keyRing) change(ctx context.Context, fn func(*keys.Keyring) error) error {
	next := t.ring.Clone()
	defer next.Clear()
	if err := fn(next); err != nil {
		return err
	}
	if err := t.source.Save(ctx, next); err != nil {
		return err
	}
	return fn(t.ring)
}

func (t *keyRing) held() peers.HeldKeys {
	return peers.HeldKeys{InUse: t.ring.Current(), Held: t.ring.Fingerprints(), Source: t.source.String()}
}

// sync follows the cluster's record: it fetches what is missing, forgets what
// was destroyed, and uses what is in use.
func (t *keyRing) sync(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	records, err := t.records()
	if err != nil {
		return err
	}
	fetched, err := t.fetch(ctx, records)
	if err != nil {
		return err
	}
	use := system.InUse(records).Version
	stale := t.destroyed(records)
	used := use > t.ring.Current() || len(stale) > 0
	if used {
		err = t.change(ctx, func(k *keys.Keyring) error {
			if use > 0 {
				if err := k.Use(use); err != nil {
					return err
				}
			}
			for _, v := range stale {
				if err := k.Destroy(v); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		t.node.deps.Logger.Info(t.name+" keys", "in_use", t.ring.Current(), "held", t.ring.Versions(), "destroyed", stale)
	}
	if fetched || used {
		t.moved()
	}
	return nil
}

// destroyed are the versions in the ring that were given up.
func (t *keyRing) destroyed(records []system.TenantKey) (stale []uint32) {
	for _, r := range records {
		if _, held := t.ring.Tenant(r.Version); held && r.Destroyed > 0 {
			stale = append(stale, r.Version)
		}
	}
	return stale
}

// fetch brings the keys that this node lacks from the others: those of the
// record, and, where it has none at all, all.
func (t *keyRing) fetch(ctx context.Context, records []system.TenantKey) (fetched bool, err error) {
	missing := t.missing(records)
	if len(missing) == 0 && !t.lost {
		return false, nil
	}
	errs := []error{errors.New("no other node has it")}
	for _, to := range t.node.peers.Others() {
		if err := t.fetchFrom(ctx, to, records); err != nil {
			errs = append(errs, fmt.Errorf("node %s: %w", to, err))
			continue
		}
		fetched = true
		if missing = t.missing(records); len(missing) == 0 && !t.lost {
			return true, nil
		}
	}
	return fetched, rookery.E("fetch "+t.name+" keys", rookery.KindUnavailable, fmt.Errorf("versions %v are missing here: %w", missing, errors.Join(errs...)))
}

// missing are the versions of the record that are not in the ring, or as
// another key than the one that came into use.
func (t *keyRing) missing(records []system.TenantKey) (versions []uint32) {
	held := t.ring.Fingerprints()
	for _, r := range records {
		if r.Since > 0 && r.Destroyed == 0 && held[r.Version] != r.Fingerprint {
			versions = append(versions, r.Version)
		}
	}
	return versions
}

// fetchFrom takes over from one node what is missing here.
func (t *keyRing) fetchFrom(ctx context.Context, to rookery.NodeID, records []system.TenantKey) error {
	theirs, err := t.keysHeld(ctx, to)
	if err != nil {
		return err
	}
	gone := map[uint32]bool{}
	proper := map[uint32]keys.Fingerprint{}
	for _, r := range records {
		gone[r.Version] = r.Destroyed > 0
		if r.Since > 0 {
			proper[r.Version] = r.Fingerprint
		}
	}
	mine := t.ring.Fingerprints()
	var got []keys.TenantKey
	defer func() {
		for i := range got {
			got[i].Clear()
		}
	}()
	for v, print := range theirs.Held {
		want, known := proper[v]
		if gone[v] || mine[v] == print || known && want != print || !known && !t.lost {
			continue
		}
		k, err := t.getKey(ctx, to, v)
		if err != nil {
			return err
		}
		if k.Fingerprint() != print {
			return rookery.E("fetch "+t.name+" key", rookery.KindDamaged, fmt.Errorf("version %d is another key than announced", v))
		}
		got = append(got, k)
	}
	if len(got) == 0 {
		return rookery.E("fetch "+t.name+" keys", rookery.KindNotFound, errors.New("it has none that is missing here"))
	}
	err = t.change(ctx, func(ring *keys.Keyring) error {
		for _, k := range got {
			if print, have := mine[k.Version]; have && print != k.Fingerprint() {
				if err := ring.Destroy(k.Version); err != nil {
					return err // a rotation of this node that lost against another
				}
			}
			if err := ring.Add(k); err != nil {
				return err
			}
		}
		if t.lost {
			return ring.Use(theirs.InUse)
		}
		return nil
	})
	if err == nil && t.lost {
		t.lost = false
		t.node.deps.Logger.Warn("the "+t.name+" keyring was missing and came from another node", "from", to, "keyring", t.ring)
	}
	return err
}

// put takes in a key that is about to come into use.
func (t *keyRing) put(ctx context.Context, k keys.TenantKey) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if have, ok := t.ring.Tenant(k.Version); ok && have.Fingerprint() == k.Fingerprint() {
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
func (t *keyRing) mayHave(from rookery.NodeID, version uint32) error {
	x, err := t.node.system.Node(from)
	if err != nil || !x.Member() {
		return rookery.E("give key", rookery.KindDenied, fmt.Errorf("node %s is no member (%v)", from, err))
	}
	records, err := t.records()
	if err != nil {
		return err
	}
	use := system.InUse(records).Version
	if use == 0 {
		use = t.ring.Current()
	}
	if version > use {
		return rookery.E("give key", rookery.KindUnavailable, fmt.Errorf("%s key version %d is not known to be in use here yet", t.name, version))
	}
	return nil
}

// serve answers other nodes about the ring. Who asks has shown the key that the
// registry has for it.
func (t *keyRing) serve() {
	n := t.node
	t.calls.Held.Serve(n.peers, func(context.Context, rookery.NodeID, peers.Nothing) (peers.HeldKeys, error) { return t.held(), nil })
	t.calls.Get.Serve(n.peers, func(_ context.Context, from rookery.NodeID, q peers.Key) (peers.Key, error) {
		if err := t.mayHave(from, q.Version); err != nil {
			return peers.Key{}, err
		}
		k, ok := t.ring.Tenant(q.Version)
		if !ok {
			return peers.Key{}, rookery.E("give key", rookery.KindNotFound, fmt.Errorf("%s key version %d is not here", t.name, q.Version))
		}
		n.deps.Logger.Info("a key goes to another node", "of", t.name, "version", q.Version, "to", from)
		return peers.Key{Version: q.Version, Secret: k.Secret()}, nil
	})
	t.calls.Put.Serve(n.peers, func(ctx context.Context, _ rookery.NodeID, q peers.Key) (none peers.Nothing, err error) {
		k, err := parseKey(q)
		if err != nil {
			return none, err
		}
		defer k.Clear()
		return none, t.put(ctx, k)
	})
	t.calls.Sync.Serve(n.peers, func(ctx context.Context, _ rookery.NodeID, _ peers.Nothing) (h peers.HeldKeys, err error) {
		if err := n.groups.Barrier(ctx, rookery.SystemGroup); err != nil {
			return h, err
		}
		if err := t.sync(ctx); err != nil {
			return h, err
		}
		return t.held(), nil
	})
}

// parseKey takes a key that has travelled, and clears what it travelled in.
func parseKey(k peers.Key) (keys.TenantKey, error) {
	defer clear(k.Secret)
	return keys.ParseTenantKey(k.Version, k.Secret)
}

// keysHeld asks a member, this node included.
func (t *keyRing) keysHeld(ctx context.Context, to rookery.NodeID) (peers.HeldKeys, error) {
	if to == t.node.id.Node {
		return t.held(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, keyWait)
	defer cancel()
	return t.calls.Held.Ask(ctx, t.node.peers, to, peers.Nothing{})
}

func (t *keyRing) getKey(ctx context.Context, to rookery.NodeID, version uint32) (keys.TenantKey, error) {
	ctx, cancel := context.WithTimeout(ctx, keyWait)
	defer cancel()
	k, err := t.calls.Get.Ask(ctx, t.node.peers, to, peers.Key{Version: version})
	if err != nil {
		return keys.TenantKey{}, err
	}
	return parseKey(k)
}

// keyMembers are the nodes of the cluster, in order.
func (n *Node) keyMembers() ([]system.Node, error) {
	nodes, err := n.system.Nodes()
	return slices.DeleteFunc(nodes, func(x system.Node) bool { return !x.Member() }), err
}

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

// keysEvery is how often the ring is compared without being told.
const keysEvery = 10 * time.Second

// followKeys keeps the ring up with the cluster's record.
func (n *Node) followKeys(ctx context.Context) error {
	return n.topics.follow(ctx, keysEvery, func() {
		if err := n.tenant.sync(ctx); err != nil && ctx.Err() == nil {
			n.deps.Logger.Warn("the tenant keys cannot be brought up to the cluster's; trying again", "error", err)
		}
	}, topicKeys)
}

// fetchKeys is account.Options.Fetch: an account is wrapped under a version
// that is not here.
func (n *Node) fetchKeys(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	return n.tenant.sync(ctx)
}
