package node

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/peers"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/system"
)

// How often the node looks at the settings key: while it changes, and while
// nothing says that it changed.
const (
	rekeyEvery  = 500 * time.Millisecond
	settleEvery = 10 * time.Second
	// rekeyCalm is for how long a node that has started changes no key: it does
	// not know yet who lives.
	rekeyCalm = 5 * time.Second
	// rekeyWait is after which time a change that waits is wrong.
	rekeyWait = time.Minute
)

// openSettingsRing reads the ring of the settings key, by which the secrets of
// the settings are sealed, and gossip is encrypted.
func openSettingsRing(ctx context.Context, n *Node) (*keyRing, error) {
	t := &keyRing{name: "settings", calls: peers.Ring("settings"), node: n, source: n.dir.SettingsKeys(), moved: n.Groups}
	t.records = func() ([]system.TenantKey, error) { return n.system.SettingsKeys() }
	return t, t.open(ctx)
}

// newSealer opens secrets with the ring, and fetches what it lacks.
func (n *Node) newSealer() *sealer {
	return &sealer{ring: n.settingsRing.ring, fetch: func() {
		ctx, cancel := context.WithTimeout(n.jobs, askWait)
		defer cancel()
		if err := n.settingsRing.sync(ctx); err != nil {
			n.deps.Logger.Warn("a settings key is missing here and cannot be fetched", "error", err)
		}
	}}
}

// gossipKeys are those that gossip reads: one of every version of the settings
// key in the ring, that of the version in use first, which encrypts.
func gossipKeys(ring *keys.Keyring) (keys [][]byte, err error) {
	use := ring.Current()
	for _, v := range ring.Versions() {
		k, ok := ring.Tenant(v)
		if !ok {
			continue // dropped meanwhile
		}
		key, err := hkdf.Key(sha256.New, k.Secret(), nil, "rookery gossip", 32)
		k.Clear()
		if err != nil {
			return nil, rookery.E("derive gossip key", rookery.KindInvalid, err)
		}
		if keys = append(keys, key); v == use {
			keys[0], keys[len(keys)-1] = key, keys[0]
		}
	}
	return keys, nil
}

// followSettingsKey keeps the ring and gossip at the version that the system
// group says is in use. Where this node leads it, it also changes the key when
// a node was removed, which knows the one of today, and seals the settings anew.
func (n *Node) followSettingsKey(ctx context.Context) error {
	changed := n.topics.listen(topicPlacement)
	for {
		err := n.settingsRing.sync(ctx)
		if err == nil {
			err = errors.Join(n.leadSettingsKey(ctx), n.dropSettingsKeys(ctx), n.useGossipKeys())
		}
		if err != nil && ctx.Err() == nil {
			n.deps.Logger.Warn("the settings key could not be brought up to date; trying again", "error", err)
		}
		wait := settleEvery
		if err != nil || len(n.settingsRing.ring.Versions()) > 1 {
			wait = rekeyEvery
		}
		select {
		case <-changed:
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

func (n *Node) useGossipKeys() error {
	keys, err := gossipKeys(n.settingsRing.ring)
	if err != nil {
		return err
	}
	return n.lives.UseKeys(keys)
}

// leadSettingsKey begins a change that is due, and has what an older version
// seals sealed anew.
func (n *Node) leadSettingsKey(ctx context.Context) error {
	if !n.groups.Leads(rookery.SystemGroup) || time.Since(n.lives.Started()) < rekeyCalm {
		return nil
	}
	due, err := n.rekeyDue()
	if err == nil && due {
		err = n.rotateSettingsKey(ctx)
	}
	if err != nil {
		return err
	}
	if done, err := n.settings.sealedAnew(); err != nil || done {
		return err
	}
	set, version, err := n.settings.read(ctx)
	if err == nil {
		_, err = n.settings.write(ctx, set, version)
	}
	return err
}

// rekeyDue reports whether a node was removed since the key came into use.
func (n *Node) rekeyDue() (bool, error) {
	records, err := n.system.SettingsKeys()
	if err != nil {
		return false, err
	}
	nodes, err := n.system.Nodes()
	for _, x := range nodes {
		if !x.Member() && x.Since > system.InUse(records).Since {
			return true, err
		}
	}
	return false, err
}

// rotateSettingsKey makes a new key, brings it to every node that lives, and
// only then has it used. The key is new with every attempt: one of an attempt
// that failed may be with a node that was removed since.
func (n *Node) rotateSettingsKey(ctx context.Context) error {
	if err := n.groups.Barrier(ctx, rookery.SystemGroup); err != nil {
		return err
	}
	// Who was removed is cut off before anything of the new key is sent.
	if err := n.learnMembers(); err != nil {
		return err
	}
	if self, err := n.system.Node(n.id.Node); err != nil || !self.Member() {
		// It may lead for a moment more, and its followers take what it sends.
		return errors.Join(err, n.removedError("the registry"))
	}
	if due, err := n.rekeyDue(); err != nil || !due {
		return err
	}
	nodes, err := n.keyMembers()
	if err != nil {
		return err
	}
	held, _ := n.settingsRing.heldBy(ctx, nodes)
	top := n.settingsRing.ring.Current()
	for _, h := range held {
		for v := range h.Held {
			top = max(top, v)
		}
	}
	key := keys.NewTenantKey(top + 1)
	defer key.Clear()
	if err := n.enoughHave(nodes, n.settingsRing.spread(ctx, nodes, key)); err != nil {
		return rookery.E("change settings key", rookery.KindUnavailable, err)
	}
	if _, err := n.propose(ctx, &command.SetSettingsKey{Version: key.Version, Fingerprint: key.Fingerprint()}); err != nil {
		return err
	}
	n.deps.Logger.Info("a settings key came into use", "version", key.Version)
	return n.settingsRing.sync(ctx)
}

// dropSettingsKeys forgets the versions before the one in use where nothing
// needs them here any more: the settings are sealed anew, and every node that
// lives uses the new one in gossip.
func (n *Node) dropSettingsKeys(ctx context.Context) error {
	t := n.settingsRing
	var old []uint32
	for _, v := range t.ring.Versions() {
		if v < t.ring.Current() {
			old = append(old, v)
		}
	}
	if len(old) == 0 || n.inForce.trouble() != "" { // the settings in force may be older ones, sealed under these
		return nil
	}
	if done, err := n.settings.sealedAnew(); err != nil || !done {
		return err
	}
	nodes, err := n.system.Nodes()
	if err != nil || len(n.behindSettingsKey(nodes, n.reports.All(members(nodes)))) > 0 {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.change(ctx, func(k *keys.Keyring) error {
		for _, v := range old {
			if err := k.Destroy(v); err != nil {
				return err
			}
		}
		return nil
	})
}

// behindSettingsKey names the nodes that live and do not use this node's
// version yet.
func (n *Node) behindSettingsKey(nodes []system.Node, reports map[rookery.NodeID]peers.Report) (names []string) {
	for _, x := range nodes {
		if x.Member() && n.lives.Alive(x.ID) && reports[x.ID].SettingsKey < n.settingsRing.ring.Current() {
			names = append(names, x.Name)
		}
	}
	return names
}

func (n *Node) settingsKeyStatus(nodes []system.Node, reports map[rookery.NodeID]peers.Report, problem func(string, ...any)) adminapi.SettingsKeyStatus {
	records, err := n.system.SettingsKeys()
	if err != nil {
		problem("settings key: %v", err)
	}
	s := adminapi.SettingsKeyStatus{Version: n.settingsRing.ring.Current(), Waits: []string{}}
	s.Waits = append(s.Waits, n.behindSettingsKey(nodes, reports)...)
	if len(s.Waits) > 0 && n.deps.Clock().Sub(time.Unix(0, system.InUse(records).Since)) > rekeyWait {
		problem("the change of the settings key waits for nodes that live and do not take it: %v; look at their logs, or restart them", s.Waits)
	}
	return s
}
