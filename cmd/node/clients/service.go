package clients

import (
	"context"
	"log/slog"
	"sync"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/replicas"
	"rookery/directory"
	"rookery/protocols/listen"
	"rookery/storage/system"
)

// Edge serves the clients of this node.
type Edge interface {
	// Clients are the sessions of those who have signed in and are served here.
	Clients() []listen.Session
	// EndClients ends those that are picked, and tells their clients why.
	EndClients(pick func(listen.Session) bool, why string) int
}

// Directory says how entries stand. It says nothing of an entry that it cannot
// be asked about; KindUnavailable: of none. Copied asks the copies that the cluster
// keeps, at no cost.
type Directory interface {
	Standing(ctx context.Context, keys []string) (map[string]directory.Standing, error)
	Copied(keys []string) map[string]directory.Standing
}

// Options are what a Service is made of.
type Options struct {
	Peers     *peers.Peers
	Replicas  *replicas.Replicas
	Directory Directory
	Edge      Edge
	Logger    *slog.Logger
}

// Service knows the clients of this node.
type Service struct {
	o      Options
	system *system.Machine
}

// New makes a Service. It does no I/O.
func New(o Options) *Service {
	return &Service{o: o, system: o.Replicas.System()}
}

// Serve answers other nodes from now on.
func (s *Service) Serve() {
	peers.ClientSessions.Serve(s.o.Peers, func(_ context.Context, _ rookery.NodeID, q peers.SessionFilter) (peers.Sessions, error) {
		return s.here(q), nil
	})
	peers.EndSessions.Serve(s.o.Peers, func(_ context.Context, _ rookery.NodeID, q peers.SessionFilter) (peers.Count, error) {
		return peers.Count(s.endHere(q)), nil
	})
}

// Run ends the sessions that have to end, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { s.followCopies(ctx) })
	defer wg.Wait()
	return s.followStanding(ctx)
}
