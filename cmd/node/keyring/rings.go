package keyring

import (
	"context"
	"log/slog"

	"rookery"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/replicas"
	"rookery/storage/keys"
)

// Stored are the rings as they lie in their sources.
type Stored struct{ tenant, settings stored }

// stored is one ring. Keys are nil where the source has none.
type stored struct {
	keys   *keys.Keyring
	source datadir.KeySource
}

// Load reads the rings of a data directory; command gives and takes the tenant
// keys where it is set. A ring that is missing is no error yet: the rest of the
// cluster is asked once it can be.
func Load(ctx context.Context, dir datadir.Dir, command []string) (s Stored, err error) {
	if s.tenant, err = load(ctx, dir.TenantKeys(command)); err != nil {
		return s, err
	}
	s.settings, err = load(ctx, dir.SettingsKeys())
	return s, err
}

func load(ctx context.Context, source datadir.KeySource) (s stored, err error) {
	s.source = source
	if s.keys, err = source.Load(ctx); rookery.Is(err, rookery.KindNotFound) {
		s.keys, err = nil, nil
	}
	return s, err
}

// Options are what the rings of a node are made of.
type Options struct {
	Self     rookery.NodeID
	DataDir  string
	Replicas *replicas.Replicas
	Peers    *peers.Peers
	Logger   *slog.Logger
	// TenantMoved hears of every change of the tenant ring. It returns at once.
	TenantMoved func()
}

// Rings are the two rings of a node.
type Rings struct {
	Tenant   *Ring
	Settings *Ring
}

// New makes the rings and answers other nodes about them.
func New(s Stored, o Options) *Rings {
	system := o.Replicas.System()
	r := &Rings{Tenant: newRing("tenant", s.tenant, o), Settings: newRing("settings", s.settings, o)}
	r.Tenant.records, r.Settings.records = system.TenantKeys, system.SettingsKeys
	r.Tenant.moved = func() {
		o.Replicas.Publish(replicas.TopicAccountKeys)
		o.TenantMoved()
	}
	r.Settings.moved = func() { o.Replicas.Publish(replicas.TopicPlacement) }
	r.Tenant.serve()
	r.Settings.serve()
	return r
}

func newRing(name string, s stored, o Options) *Ring {
	t := &Ring{
		Keys: s.keys, name: name, calls: peers.Ring(name), source: s.source,
		self: o.Self, dataDir: o.DataDir, replicas: o.Replicas, peers: o.Peers, logger: o.Logger,
	}
	if s.keys == nil {
		t.Keys, t.lost = new(keys.Keyring), true
	}
	return t
}

// FetchTenant brings tenant keys that an account is wrapped under and that are
// not here.
func (r *Rings) FetchTenant(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, replicas.AskWait)
	defer cancel()
	return r.Tenant.Sync(ctx)
}
