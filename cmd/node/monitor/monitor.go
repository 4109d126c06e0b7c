package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/backups/figures"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/directories"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/replicas"
	"rookery/cmd/node/settings"
	"rookery/protocols/listen"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
	"rookery/storage/pack/read"
	"rookery/storage/system"
)

// Options are what the monitor listens with.
type Options struct {
	// Config is the node's file: where it listens, and its name.
	Config  settings.Node
	Listen  func(ctx context.Context, network, address string) (net.Listener, error)
	Metrics *Metrics
	Logger  *slog.Logger
	Clock   func() time.Time
}

// Parts are what the monitor sees of a node that serves.
type Parts struct {
	Self        datadir.Identity
	Replicas    *replicas.Replicas
	Peers       *peers.Peers
	Lives       *peers.Liveness
	Reports     *peers.Reports
	Clocks      *peers.Clocks
	Settings    Settings
	Keys        Keys
	Directories Directories
	Copies      Copies
	Objects     Objects
	Moves       Moves
	Edge        Edge
	Backups     Backups
	// Replication is on how many nodes a group is to be.
	Replication func() int
}

// Settings are the cluster's, as the node works by them.
type Settings interface {
	// Trouble is why the stored ones are not in force, empty where they are.
	Trouble() string
}

// Keys say how far changes of keys are, and what the recovery kit lacks.
type Keys interface {
	AuthorityTrouble(problem func(string, ...any)) adminapi.AuthorityStatus
	KitTrouble() (string, error)
	SettingsKeyStatus(nodes []system.Node, reports map[rookery.NodeID]peers.Report, problem func(string, ...any)) adminapi.SettingsKeyStatus
}

// Directories say which of them answer.
type Directories interface {
	Trouble() map[string]error
	Stats() directories.Stats
}

// Copies say how the cluster's copies of directories are.
type Copies interface {
	Problems(problem func(format string, a ...any))
}

// Objects say how bodies get into the object store and back.
type Objects interface {
	Tried(problem func(string, ...any)) string
	LastSweep() (*adminapi.SweepStatus, error)
	PackTotals(rookery.GroupID, *mailbox.Machine) (mailbox.PackTotals, error)
	PackStats(rookery.GroupID) (pack.Stats, bool)
	Oldest(rookery.GroupID) time.Time
	ReadStats() read.Stats
	CacheStats() read.CacheStats
}

// Moves are those of accounts under way.
type Moves interface {
	Statuses() ([]adminapi.MoveStatus, error)
}

// Backups say how the archive of groups that this node leads is.
type Backups interface {
	Stats() figures.Stats
}

// Edge is where clients come in.
type Edge interface {
	Listeners() []*listen.Listener
	CertificateEnd() (time.Time, bool)
}

// Monitor answers load balancers, monitoring and operators how the node is.
type Monitor struct {
	o       Options
	phase   atomic.Int32
	held    atomic.Pointer[string] // why the start does not get on
	parts   atomic.Pointer[Parts]
	health  http.Server
	scraped http.Server
	wg      sync.WaitGroup
}

// New makes the monitor of a node that starts.
func New(o Options) *Monitor {
	m := &Monitor{o: o}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) { m.answer(w, Verdict{true, "the process runs"}) })
	for _, p := range []string{"", "smtp", "imap", "pop3"} {
		mux.HandleFunc("GET "+strings.TrimSuffix("/ready/"+p, "/"), func(w http.ResponseWriter, _ *http.Request) { m.answer(w, m.Ready(p)) })
	}
	m.health = http.Server{
		Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, IdleTimeout: 10 * time.Second,
		MaxHeaderBytes: 8 << 10,
	}
	return m
}

// Open begins to answer: from here on a node that starts says so.
func (m *Monitor) Open(ctx context.Context) error {
	if err := m.listen(ctx, "health", m.o.Config.Listen.Health, &m.health); err != nil {
		return err
	}
	if len(m.o.Config.Listen.Metrics) == 0 {
		return nil
	}
	registry := m.o.Metrics.catalog.registry
	registry.MustRegister(scraper{m}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 2, Timeout: 10 * time.Second}))
	m.scraped = http.Server{
		Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 15 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10,
	}
	return m.listen(ctx, "metrics", m.o.Config.Listen.Metrics, &m.scraped)
}

// maxPlainConns bounds the connections to a plain HTTP listener: nobody who
// reaches it takes the node's descriptors.
const maxPlainConns = 256

// listen serves on addresses until Close.
func (m *Monitor) listen(ctx context.Context, name string, addrs []string, server *http.Server) error {
	for _, addr := range addrs {
		ln, err := m.o.Listen(ctx, "tcp", addr)
		if err != nil {
			return rookery.E("listen", rookery.KindUnavailable, fmt.Errorf("%s on %s: %w; free the port or change listen.%s", name, addr, err, name))
		}
		m.wg.Go(func() {
			if err := server.Serve(netutil.LimitListener(ln, maxPlainConns)); !errors.Is(err, http.ErrServerClosed) {
				m.o.Logger.Error("listener ended", "listener", name, "address", addr, "error", err)
			}
		})
	}
	return nil
}

// HoldUp says why the start does not get on, "" that it does.
func (m *Monitor) HoldUp(why string) { m.held.Store(&why) }

// Watch has the monitor see the parts of the node. Status is theirs from then
// on; the node is ready with Serving.
func (m *Monitor) Watch(p *Parts) { m.parts.Store(p) }

// Serving says that the node serves clients.
func (m *Monitor) Serving() { m.phase.Store(int32(serving)) }

// Stopping says that it is about to end.
func (m *Monitor) Stopping() { m.phase.Store(int32(stopping)) }

// Close ends all answers.
func (m *Monitor) Close() error {
	err := errors.Join(m.health.Close(), m.scraped.Close())
	m.wg.Wait()
	return err
}
