package keyring

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"rookery"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/replicas"
	"rookery/storage/keys"
	"rookery/storage/system"
)

// Ring is this node's ring of the versions of one key, the tenant's or the
// settings', in memory and in its source, kept up with what the cluster has
// agreed on: every node holds the versions that something needs, no node one
// that was destroyed. Keys travel between nodes over mutual TLS and in no other
// way.
type Ring struct {
	// Keys are the versions in memory, for who wraps and opens with them.
	Keys *keys.Keyring

	name     string // tenant or settings
	calls    peers.RingCalls
	source   datadir.KeySource
	self     rookery.NodeID
	dataDir  string
	replicas *replicas.Replicas
	peers    *peers.Peers
	logger   *slog.Logger
	// records are what the cluster has agreed on, moved hears of every change
	// of the ring.
	records func() ([]system.TenantKey, error)
	moved   func()
	// seal brings the files that lie under these keys under the version in use,
	// and sealed says under which they are; nil where nothing does.
	seal   func(ctx context.Context) error
	sealed func() (uint32, error)
	// lost is why the source gave none at the start: the cluster gives it.
	lost error

	mu sync.Mutex // one change at a time, in memory and on disk
}

// keyWait bounds one node's answer about its keys: it may have to run a
// command and write a file.
const keyWait = datadir.KeyCommandTime + 10*time.Second

// Find ends a start without keys: the cluster gives them, or it cannot go on.
func (t *Ring) Find(ctx context.Context) error {
	if err := t.Sync(ctx); err != nil && t.lost == nil {
		t.logger.Warn("the "+t.name+" keys are not those of the cluster yet", "error", err)
	}
	if t.lost == nil {
		return nil
	}
	return rookery.E("open "+t.name+" keys", rookery.KindDamaged,
		fmt.Errorf("%s is missing, what it opens cannot be read without it, and no other node gives it: start another node first, or "+
			"bring it back from the recovery kit: rookery key restore KIT -data %s (%w)", t.source.Path(), t.dataDir, t.lost))
}

// change changes the ring where its source takes the change first.
func (t *Ring) change(ctx context.Context, fn func(*keys.Keyring) error) error {
	next := t.Keys.Clone()
	defer next.Clear()
	if err := fn(next); err != nil {
		return err
	}
	if err := t.source.Save(ctx, next); err != nil {
		return err
	}
	return fn(t.Keys)
}

func (t *Ring) held() (peers.HeldKeys, error) {
	h := peers.HeldKeys{InUse: t.Keys.Current(), Held: t.Keys.Fingerprints(), Source: t.source.String()}
	var err error
	if t.sealed != nil {
		h.Sealed, err = t.sealed()
	}
	return h, err
}

// Sync follows the cluster's record: it fetches what is missing, forgets what
// was destroyed, and uses what is in use.
func (t *Ring) Sync(ctx context.Context) error {
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
	used := use > t.Keys.Current()
	if used {
		err = t.change(ctx, func(k *keys.Keyring) error { return k.Use(use) })
	}
	if err == nil {
		err = t.sealAndForget(ctx, stale)
	}
	if used || len(stale) > 0 {
		t.logger.Info(t.name+" keys", "in_use", t.Keys.Current(), "held", t.Keys.Versions(), "destroyed", stale)
	}
	if fetched || used || len(stale) > 0 {
		t.moved()
	}
	return err
}

// sealAndForget seals what lies under the ring anew, and then only drops
// versions that were given up.
func (t *Ring) sealAndForget(ctx context.Context, stale []uint32) error {
	if t.seal != nil {
		if err := t.seal(ctx); err != nil && len(stale) > 0 {
			return err
		} else if err != nil {
			t.logger.Warn("CA key or settings key could not be sealed anew; trying again", "error", err)
		}
	}
	if len(stale) == 0 {
		return nil
	}
	return t.forget(ctx, stale)
}

// forget drops versions from the ring.
func (t *Ring) forget(ctx context.Context, versions []uint32) error {
	return t.change(ctx, func(k *keys.Keyring) error {
		for _, v := range versions {
			if err := k.Destroy(v); err != nil {
				return err
			}
		}
		return nil
	})
}

// destroyed are the versions in the ring that were given up.
func (t *Ring) destroyed(records []system.TenantKey) (stale []uint32) {
	for _, r := range records {
		if _, held := t.Keys.Tenant(r.Version); held && r.Destroyed > 0 {
			stale = append(stale, r.Version)
		}
	}
	return stale
}

// UseSource has the keys kept in another place from the next change on, and
// gives the former one.
func (t *Ring) UseSource(s datadir.KeySource) (former datadir.KeySource) {
	t.mu.Lock()
	defer t.mu.Unlock()
	former, t.source = t.source, s
	return former
}
