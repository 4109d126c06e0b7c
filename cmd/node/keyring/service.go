package keyring

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/replicas"
	"rookery/directory"
	"rookery/storage/account"
	"rookery/storage/daykey"
	"rookery/storage/mailbox"
	"rookery/storage/system"
)

// Liveness says which nodes live, and encrypts what they say of it.
type Liveness interface {
	Alive(rookery.NodeID) bool
	// Started is when this node began to listen for the others.
	Started() time.Time
	UseKeys([][]byte) error
}

// Sealed are secrets that are stored sealed under the settings key.
type Sealed interface {
	// SealedAnew reports whether all secrets are sealed under the version of the
	// settings key in use here.
	SealedAnew() (bool, error)
	// SealAnew seals them so.
	SealAnew(ctx context.Context) error
}

// Settings are the cluster's, with their sealed secrets.
type Settings interface {
	Sealed
	// Trouble is why the stored settings are not in force on this node, empty
	// where they are.
	Trouble() string
}

// Directory finds the owner of an account by an address.
type Directory interface {
	Recipient(ctx context.Context, addr rookery.Address) (directory.Entry, error)
}

// Work is what the work on the keys needs beside the rings.
type Work struct {
	Self     rookery.NodeID
	Peers    *peers.Peers
	Reports  *peers.Reports
	Lives    Liveness
	Settings Settings
	// Signing are the keys that sign outgoing mail, Archive those of the backup.
	Signing   Sealed
	Archive   Sealed
	Accounts  *account.Store
	Days      *daykey.Store
	Directory Directory
	// Cancel takes what accounts have scheduled, and what is held of theirs, out of
	// the queues of all groups, and counts it.
	Cancel func(ctx context.Context, accounts []rookery.AccountID) (int, error)
	Logger *slog.Logger
	Clock  func() time.Time
}

// Service rotates and destroys keys, wraps those of accounts anew, and erases
// accounts.
type Service struct {
	o             Work
	tenant        *Ring
	settingsRing  *Ring
	authorityRing *Ring
	kit           *system.Kit // written before the start; nil where none was
	replicas      *replicas.Replicas
	system        *system.Machine
	census        *replicas.Question[peers.Nothing, mailbox.KeyCensus]
	rewraps       sync.Map // of true by the rookery.GroupID whose keys to wrap anew
	progress      progress
}

// Work makes the service of these rings, and answers other nodes from now on.
func (r *Rings) Work(o Work) *Service {
	s := &Service{o: o, tenant: r.Tenant, settingsRing: r.Settings, authorityRing: r.Authority, kit: r.kit,
		replicas: r.Tenant.replicas, system: r.Tenant.replicas.System()}
	s.census = replicas.NewQuestion(s.replicas, peers.KeyCensus, replicas.AskBarrierWait, s.censusHere)
	s.serveProgress()
	return s
}

// Run keeps the keys up with what the cluster agrees on until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, run := range []func(context.Context){
		s.followTenantKeys, s.rewrapKeys, s.finishErasures, s.followSettingsKey, s.followAuthority, s.followKit,
	} {
		wg.Go(func() { run(ctx) })
	}
	wg.Wait()
	return nil
}

// tenantEvery is how often the tenant ring is compared without being told.
const tenantEvery = 10 * time.Second

// followTenantKeys keeps the ring up with the cluster's record.
func (s *Service) followTenantKeys(ctx context.Context) {
	s.replicas.Follow(ctx, tenantEvery, func() {
		if err := s.tenant.Sync(ctx); err != nil && ctx.Err() == nil {
			s.o.Logger.Warn("the tenant keys cannot be brought up to the cluster's; trying again", "error", err)
		}
	}, replicas.TopicKeys)
}
