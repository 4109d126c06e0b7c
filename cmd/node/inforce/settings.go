package inforce

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	"rookery"
	"rookery/cmd/node/keyring"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/replicas"
	"rookery/cmd/node/settings"
	"rookery/storage/system"
)

// Options are what the settings are read, written and kept with.
type Options struct {
	DataDir  string
	Self     rookery.NodeID
	Node     string // this node's name
	Replicas *replicas.Replicas
	Peers    *peers.Peers
	// Dial connects to directories that are tried; nil is TCP.
	Dial   func(ctx context.Context, address string) (net.Conn, error)
	Sealer *keyring.Sealer
	Logger *slog.Logger
}

// Settings are the cluster's. Secrets are sealed in what is stored and open in
// what is read. It is safe for concurrent use.
type Settings struct {
	o       Options
	system  *system.Machine
	machine settings.Checker // this node's

	limits     atomic.Pointer[settings.Limits]
	outbound   atomic.Pointer[settings.Outbound]
	backup     atomic.Pointer[settings.Backup]
	submission atomic.Pointer[settings.Submission]
	relay      atomic.Pointer[settings.Relay]
	postmaster atomic.Pointer[rookery.Address]
	catchAll   atomic.Pointer[map[string]rookery.Address] // by domain

	mu      sync.Mutex
	version uint64 // in force
	over    []byte // what this node has of its own, put over them
	stored  uint64 // the version that cannot be used
	why     error  // nil where the stored ones are in force
}

// New has none in force yet.
func New(o Options) *Settings {
	return &Settings{o: o, system: o.Replicas.System(), machine: Machine{o.DataDir}}
}

// Read gives the settings as this node has them now, after a barrier, and
// their version; 0 and the defaults where none were ever written.
func (s *Settings) Read(ctx context.Context) (settings.Cluster, uint64, error) {
	if err := s.o.Replicas.Barrier(ctx, rookery.SystemGroup); err != nil {
		return settings.Cluster{}, 0, err
	}
	return s.Local()
}

// Local is read without the barrier.
func (s *Settings) Local() (settings.Cluster, uint64, error) {
	version, doc, err := s.system.Settings()
	if err != nil || version == 0 {
		return settings.Default(), version, err
	}
	set, err := s.open(doc)
	return set, version, err
}

// open reads a document with sealed secrets.
func (s *Settings) open(doc []byte) (settings.Cluster, error) {
	set, err := settings.Parse(doc)
	if err != nil {
		return set, err
	}
	err = set.EachSecret(func(key string, v *string) (err error) {
		if *v != "" {
			*v, err = s.o.Sealer.Open(key, *v)
		}
		return err
	})
	return set, err
}
