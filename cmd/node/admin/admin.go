package admin

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/clients"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/replicas"
	"rookery/cmd/node/settings"
	"rookery/directory"
	"rookery/storage/account"
	"rookery/storage/command"
	"rookery/storage/system"
)

// Settings are the cluster's.
type Settings interface {
	Read(ctx context.Context) (settings.Cluster, uint64, error)
	Change(ctx context.Context, next settings.Cluster, version uint64, force bool, orphan ...string) (uint64, error)
}

// Members changes who belongs to the cluster, and its groups.
type Members interface {
	MintToken(ctx context.Context, valid time.Duration) (token string, addresses []string, err error)
	SetState(ctx context.Context, name string, to command.NodeState) error
	AddGroups(ctx context.Context, count int) ([]adminapi.AddedGroup, error)
	Finalize(ctx context.Context) error
}

// Keys are those that everything is encrypted under.
type Keys interface {
	Status(ctx context.Context) (adminapi.KeyStatus, error)
	Rotate(ctx context.Context) (adminapi.RotatedKey, error)
	Destroy(ctx context.Context, versions ...uint32) ([]uint32, error)
	Erase(ctx context.Context, who []string) ([]rookery.AccountID, error)
	Authority() (adminapi.AuthorityStatus, error)
	RotateAuthority(ctx context.Context, force bool) (adminapi.AuthorityStatus, error)
}

// Storage sweeps the object store and holds what is in it.
type Storage interface {
	Sweep(ctx context.Context, o adminapi.SweepOrder, event func(any) error) error
	PlaceHold(ctx context.Context, o adminapi.HoldOrder) (adminapi.HoldAnswer, error)
	LiftHold(ctx context.Context, name string) (adminapi.HoldAnswer, error)
	Holds(ctx context.Context) (adminapi.HoldList, error)
}

// Upkeep checks and mends packs.
type Upkeep interface {
	Check(ctx context.Context, o adminapi.CheckOrder, event func(any) error) error
	RebuildIndex(ctx context.Context, o adminapi.RebuildOrder, event func(any) error) error
}

// Directory says who exists, past what is remembered but for Recipient.
type Directory interface {
	Recipient(ctx context.Context, addr rookery.Address) (directory.Entry, error)
	ByKey(ctx context.Context, key string) (directory.Entry, error)
	Named(ctx context.Context, who string) (directory.Entry, error)
}

// SignIns are the last ones.
type SignIns interface {
	Last(rookery.AccountID) (system.SignIn, error)
}

// Moves are those of accounts.
type Moves interface {
	Begin(ctx context.Context, id rookery.AccountID, to rookery.GroupID) error
	Abandon(ctx context.Context, id rookery.AccountID) error
	Status(system.AccountMove) adminapi.MoveStatus
}

// Clients are who has signed in, on all nodes.
type Clients interface {
	List(ctx context.Context, node string, pick peers.SessionFilter) ([]clients.OnNode, error)
	End(ctx context.Context, node string, pick peers.SessionFilter) ([]clients.OnNode, error)
}

// Records are what mail domains have to publish in the DNS.
type Records interface {
	Check(ctx context.Context, domain string, addresses map[string][]netip.Addr) (adminapi.DNSReport, error)
}

// Options are what the server hands calls to.
type Options struct {
	// Node is this node's name, for the audit.
	Node      string
	Replicas  *replicas.Replicas
	Accounts  *account.Store
	Status    func() adminapi.Status
	Settings  Settings
	Members   Members
	Keys      Keys
	Storage   Storage
	Upkeep    Upkeep
	Directory Directory
	SignIns   SignIns
	Moves     Moves
	Clients   Clients
	Queue     Queue
	Relays    Relays
	Trace     Tracer
	Backup    Backup
	Records   Records
	Copies    Copies
	Logger    *slog.Logger
}

// Server answers operators on a socket that only the owner of the data
// directory and the members of the group rookery can open.
type Server struct {
	o    Options
	http http.Server
}

// Open serves on the socket until Close.
func Open(ctx context.Context, ln net.Listener, o Options) *Server {
	a := &Server{o: o}
	t := newRoutes(auditor{o.Node, o.Replicas}, o.Logger)
	a.routes(t)
	a.serve(ctx, ln, t)
	return a
}

func (a *Server) serve(ctx context.Context, ln net.Listener, t *routes) {
	ending, end := context.WithCancel(context.WithoutCancel(ctx))
	a.http.RegisterOnShutdown(end)
	a.http.Handler = endLong(ending, t.mux)
	a.http.ConnContext = withPrincipal
	a.http.ReadTimeout = 30 * time.Second
	a.http.ErrorLog = slog.NewLogLogger(a.o.Logger.Handler(), slog.LevelWarn)
	go a.http.Serve(ln)
}

// routes declares what may be asked for.
func (a *Server) routes(t *routes) {
	a.settingsRoutes(t)
	a.nodeRoutes(t)
	a.storageRoutes(t)
	a.keyRoutes(t)
	a.accountRoutes(t)
	a.sessionRoutes(t)
	a.recoverRoutes(t)
	a.queueRoutes(t)
	a.relayRoutes(t)
	a.traceRoutes(t)
	a.backupRoutes(t)
	a.exportRoutes(t)
	a.verifyRoutes(t)
	a.auditRoutes(t)
	a.dnsRoutes(t)
	a.directoryRoutes(t)
}

// Close lets calls end, but for those that may last.
func (a *Server) Close(ctx context.Context) error { return a.http.Shutdown(ctx) }
