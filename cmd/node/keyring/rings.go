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

// stored is one ring. It is empty where lost says why the source gave none.
type stored struct {
	keys   *keys.Keyring
	source datadir.KeySource
	lost   error
}

// Load reads the rings of a data directory, and seals what lies under the
// tenant's; command gives and takes the tenant keys where it is set. A ring that
// is missing, or that lies under a tenant key that is, is no error yet: the rest
// of the cluster is asked once it can be.
func Load(ctx context.Context, dir datadir.Dir, command []string) (s Stored, err error) {
	if s.tenant, err = load(ctx, dir.TenantKeys(command)); err != nil {
		return s, err
	}
	if s.settings, err = load(ctx, dir.SettingsKeys(s.tenant.keys)); err != nil || s.tenant.lost != nil {
		return s, err
	}
	if err := sealUnder(ctx, dir, s.tenant.keys, s.settings.keys, s.settings.source); err != nil && !rookery.Is(err, rookery.KindUnavailable) {
		return s, err
	}
	return s, nil // what is not here yet is sealed anew when it has come
}

// TenantKeys are the versions in memory, the same for ever.
func (s *Stored) TenantKeys() *keys.Keyring { return s.tenant.keys }

func load(ctx context.Context, source datadir.KeySource) (s stored, err error) {
	s.source = source
	s.keys, err = source.Load(ctx)
	if rookery.Is(err, rookery.KindNotFound) || rookery.Is(err, rookery.KindUnavailable) && source.Sealed() {
		s.keys, s.lost, err = new(keys.Keyring), err, nil
	}
	return s, err
}

// sealUnder brings the CA's key and the settings keyring under the tenant key in
// use, where they lie under another or in the clear.
func sealUnder(ctx context.Context, dir datadir.Dir, tenant, settings *keys.Keyring, source datadir.KeySource) error {
	if err := dir.SealAuthority(tenant); err != nil {
		return err
	}
	under, err := dir.SealedUnder()
	if err == nil && under != tenant.Current() && len(settings.Versions()) > 0 {
		err = source.Save(ctx, settings)
	}
	return err
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
	r.Tenant.sealed, r.Tenant.seal = datadir.Dir(o.DataDir).SealedUnder, r.sealFiles
	r.Tenant.serve()
	r.Settings.serve()
	return r
}

func newRing(name string, s stored, o Options) *Ring {
	t := &Ring{
		Keys: s.keys, name: name, calls: peers.Ring(name), source: s.source,
		self: o.Self, dataDir: o.DataDir, replicas: o.Replicas, peers: o.Peers, logger: o.Logger, lost: s.lost,
	}
	return t
}

// sealFiles brings the files under the tenant key that is in use here.
func (r *Rings) sealFiles(ctx context.Context) error {
	dir := datadir.Dir(r.Tenant.dataDir)
	if under, err := dir.SealedUnder(); err != nil || under == r.Tenant.Keys.Current() {
		return err
	}
	r.Settings.mu.Lock()
	defer r.Settings.mu.Unlock()
	if err := sealUnder(ctx, dir, r.Tenant.Keys, r.Settings.Keys, r.Settings.source); err != nil {
		return err
	}
	r.Tenant.logger.Info("CA key and settings key are sealed anew", "under", r.Tenant.Keys.Current())
	return nil
}

// Find ends a start without keys. The tenant's come first: those of the
// settings lie under them.
func (r *Rings) Find(ctx context.Context) error {
	if r.Tenant.lost != nil {
		if err := r.Tenant.Find(ctx); err != nil {
			return err
		}
	}
	return r.Settings.Find(ctx)
}

// FetchTenant brings tenant keys that an account is wrapped under and that are
// not here.
func (r *Rings) FetchTenant(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, replicas.AskWait)
	defer cancel()
	return r.Tenant.Sync(ctx)
}
