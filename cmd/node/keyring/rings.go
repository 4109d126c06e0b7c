package keyring

import (
	"context"
	"errors"
	"log/slog"

	"rookery"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/replicas"
	"rookery/storage/keys"
	"rookery/storage/system"
)

// Stored are the rings as they lie in their sources.
type Stored struct {
	tenant, settings, authority stored
	kit                         *system.Kit // that was written of the directory as it is; nil where none was
}

// stored is one ring. It is empty where lost says why the source gave none.
type stored struct {
	keys   *keys.Keyring
	source datadir.KeySource
	lost   error
}

// Load reads the rings of a data directory whose lock the caller holds, and seals
// what lies under the tenant's; command gives and takes the tenant keys where it is set. A ring that
// is missing, or that lies under a tenant key that is, is no error yet: the rest
// of the cluster is asked once it can be.
func Load(ctx context.Context, dir datadir.Dir, command []string) (s Stored, err error) {
	if s.tenant, err = load(ctx, dir.TenantKeys(command)); err != nil {
		return s, err
	}
	if s.settings, err = load(ctx, dir.SettingsKeys(s.tenant.keys)); err != nil {
		return s, err
	}
	// A node serves without the CA's key, also where its file is damaged.
	s.authority = stored{source: dir.AuthorityKeys(s.tenant.keys)}
	if err := s.authority.source.Clear(); err != nil {
		return s, err
	}
	if s.authority.keys, s.authority.lost = s.authority.source.Load(ctx); s.authority.lost != nil {
		s.authority.keys = new(keys.Keyring)
	}
	if k, found := s.kitOf(dir); found {
		s.kit = &k
	}
	if s.tenant.lost == nil {
		err = errors.Join(s.settings.source.SealAnew(ctx, s.settings.keys), s.authority.source.SealAnew(ctx, s.authority.keys))
	}
	return s, err
}

// TenantKeys are the versions in memory, the same for ever.
func (s *Stored) TenantKeys() *keys.Keyring { return s.tenant.keys }

func load(ctx context.Context, source datadir.KeySource) (s stored, err error) {
	s.source = source
	if err := source.Clear(); err != nil {
		return s, err
	}
	s.keys, err = source.Load(ctx)
	if rookery.Is(err, rookery.KindNotFound) || rookery.Is(err, rookery.KindUnavailable) && source.Sealed() {
		s.keys, s.lost, err = new(keys.Keyring), err, nil
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

// Rings are those of a node.
type Rings struct {
	Tenant   *Ring
	Settings *Ring
	// Authority has the keys of the cluster's CA.
	Authority *Ring

	kit *system.Kit // that was written before the start
}

// New makes the rings and answers other nodes about them.
func New(s Stored, o Options) *Rings {
	machine := o.Replicas.System()
	r := &Rings{
		Tenant: newRing("tenant", s.tenant, o), Settings: newRing("settings", s.settings, o), Authority: newRing("authority", s.authority, o),
		kit: s.kit,
	}
	r.Tenant.records, r.Settings.records, r.Authority.records = machine.TenantKeys, machine.SettingsKeys, machine.AuthorityKeys
	r.Tenant.moved = func() {
		o.Replicas.Publish(replicas.TopicAccountKeys)
		o.TenantMoved()
	}
	r.Settings.moved = func() { o.Replicas.Publish(replicas.TopicPlacement) }
	r.Authority.moved = func() {}
	r.Tenant.sealed, r.Tenant.seal = datadir.Dir(o.DataDir).SealedUnder, r.sealFiles
	for _, t := range []*Ring{r.Tenant, r.Settings, r.Authority} {
		t.serve()
	}
	return r
}

func newRing(name string, s stored, o Options) *Ring {
	t := &Ring{
		Keys: s.keys, name: name, calls: peers.Ring(name), source: s.source,
		self: o.Self, dataDir: o.DataDir, replicas: o.Replicas, peers: o.Peers, logger: o.Logger, lost: s.lost,
	}
	return t
}

// sealFiles brings the files of the other rings under the tenant key that is in
// use here.
func (r *Rings) sealFiles(ctx context.Context) error {
	return errors.Join(r.Settings.sealAnew(ctx), r.Authority.sealAnew(ctx))
}

func (t *Ring) sealAnew(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.source.SealAnew(ctx, t.Keys)
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
