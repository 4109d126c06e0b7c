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
	// lost is that the source had none at the start: the cluster gives it.
	lost bool

	mu sync.Mutex // one change at a time, in memory and on disk
}

// keyWait bounds one node's answer about its keys: it may have to run a
// command and write a file.
const keyWait = datadir.KeyCommandTime + 10*time.Second

// Find ends a start without keys: the cluster gives them, or it cannot go on.
func (t *Ring) Find(ctx context.Context) error {
	if err := t.Sync(ctx); err != nil && !t.lost {
		t.logger.Warn("the "+t.name+" keys are not those of the cluster yet", "error", err)
	}
	if !t.lost {
		return nil
	}
	return rookery.E("open "+t.name+" keys", rookery.KindDamaged,
		fmt.Errorf("%s is missing, what it opens cannot be read without it, and no other node gives it: start another node first, or "+
			"bring it back from the recovery kit: rookery key restore KIT -data %s", t.source.Path(), t.dataDir))
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

func (t *Ring) held() peers.HeldKeys {
	return peers.HeldKeys{InUse: t.Keys.Current(), Held: t.Keys.Fingerprints(), Source: t.source.String()}
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
	used := use > t.Keys.Current() || len(stale) > 0
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
		t.logger.Info(t.name+" keys", "in_use", t.Keys.Current(), "held", t.Keys.Versions(), "destroyed", stale)
	}
	if fetched || used {
		t.moved()
	}
	return nil
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
