package node

import (
	"context"
	"errors"
	"os"
	"time"

	"rookery"
	"rookery/cmd/node/admin"
	"rookery/cmd/node/archivekeys"
	"rookery/cmd/node/backups"
	"rookery/cmd/node/clients"
	"rookery/cmd/node/couriers"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/directories"
	"rookery/cmd/node/edge"
	"rookery/cmd/node/elected"
	"rookery/cmd/node/inforce"
	"rookery/cmd/node/keyring"
	"rookery/cmd/node/members"
	"rookery/cmd/node/monitor"
	"rookery/cmd/node/moves"
	"rookery/cmd/node/objects"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/relays"
	"rookery/cmd/node/replicas"
	"rookery/cmd/node/senders"
	"rookery/cmd/node/settings"
	"rookery/cmd/node/signing"
	"rookery/cmd/node/trace"
	"rookery/protocols/delivery"
	"rookery/storage/account"
	"rookery/storage/daykey"
	"rookery/storage/system"
)

// startWithin bounds the wait for leaders at start.
const startWithin = 30 * time.Second

// Node is one running node: its parts from the disk upwards, each made of the
// ones above it in this list.
type Node struct {
	cfg  settings.Node
	deps Deps
	home
	kernel
	services
	mail
	metrics *monitor.Metrics
	monitor *monitor.Monitor
	admin   *admin.Server
	hears   events
	ending  *terminal
	jobs    *jobs
}

// home is the data directory, who the node is by it, and the keys in it.
type home struct {
	dir    datadir.Dir
	lock   *os.File
	id     datadir.Identity
	stored keyring.Stored
}

// kernel is what every service stands on: the other nodes, and the groups.
type kernel struct {
	peers   *peers.Peers
	lives   *peers.Liveness
	reports *peers.Reports
	clocks  *peers.Clocks
	groups  *replicas.Replicas
	system  *system.Machine
}

// services each look after one thing and know none of the others.
type services struct {
	settings    *inforce.Settings
	people      *directories.Directories
	elected     *elected.Service
	rings       *keyring.Rings
	keys        *keyring.Service
	registry    *members.Registry
	host        *members.Host
	objects     *objects.Service
	upkeep      *objects.Upkeep
	moves       *moves.Service
	signing     *signing.Service
	archiveKeys *archivekeys.Service
	dns         *resolver
}

// mail is the way of messages and of those who read them.
type mail struct {
	accounts  *account.Store
	days      *daykey.Store
	deliver   *delivery.Deliverer
	questions questions
	edge      *edge.Edge
	couriers  *couriers.Service
	senders   *senders.Senders
	recent    *trace.Recent
	trace     *trace.Service
	backups   *backups.Service
	clients   *clients.Service
	relays    *relays.Credentials
}

// Open starts a node and returns when it serves. The caller closes it.
func Open(ctx context.Context, cfg settings.Node, deps Deps) (n *Node, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, rookery.E("open node", rookery.KindInvalid, err)
	}
	deps.complete()
	n = &Node{cfg: cfg, deps: deps, home: home{dir: datadir.Dir(cfg.DataDir)}, ending: newTerminal(), jobs: newJobs(deps.Logger)}
	n.metrics = monitor.NewMetrics()
	n.monitor = monitor.New(monitor.Options{
		Config: cfg, Listen: deps.Network.Listen, Metrics: n.metrics, Logger: deps.Logger, Clock: deps.Clock,
	})
	defer func() {
		if err != nil {
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			err = errors.Join(err, n.Close(closing))
			n = nil
		}
	}()
	for _, step := range []func(context.Context) error{n.openDir, n.monitor.Open, n.awaitRoom} {
		if err := step(ctx); err != nil {
			return n, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, deps.tuning.startWithin())
	defer cancel()
	stop := n.ending.cancels(cancel)
	defer stop()
	for _, step := range []func(context.Context) error{
		n.openIdentity, n.openGroups, n.openSettings, n.openStores, n.openMail, n.openEdge, n.startGroups, n.serve,
	} {
		err := step(ctx)
		if why := n.ending.why(); why != nil {
			err = why // what ended the step
		}
		if err != nil {
			return n, err
		}
	}
	n.monitor.Serving()
	return n, nil
}

// Addrs are the addresses the node listens on, by listener name.
func (n *Node) Addrs() map[string][]string { return n.edge.Addrs() }

// Close drains the protocols, then stops everything from the edge inwards.
// What was acknowledged is on disk whether or not it is called.
func (n *Node) Close(ctx context.Context) error {
	var errs []error
	note := func(what string, err error) {
		if err != nil {
			errs = append(errs, rookery.E("close "+what, 0, err))
		}
	}
	n.monitor.Stopping() // before clients are told to go
	if n.admin != nil {
		note("administration socket", n.admin.Close(ctx))
	}
	if n.edge != nil {
		note("listeners", n.edge.Drain(ctx))
	}
	n.jobs.stop()
	if err := n.unlessFull(ctx, func() error { n.jobs.wg.Wait(); return nil }); err != nil {
		return errors.Join(append(errs, err)...)
	}
	if n.lives != nil {
		note("gossip", n.lives.Close(ctx))
	}
	if n.people != nil {
		note("directories", n.people.Close())
	}
	if n.dns != nil {
		note("resolver", n.dns.Close())
	}
	if n.groups != nil {
		err := n.unlessFull(ctx, func() error { return n.groups.StopAll(ctx) })
		note("groups", err)
		if errors.Is(err, errDiskFull) {
			return errors.Join(errs...)
		}
	}
	// The groups hand their leaderships over through the transport, and what it
	// serves reads the state.
	if n.peers != nil {
		err := n.unlessFull(ctx, func() error { return n.peers.Close(ctx) })
		note("transport", err)
		if errors.Is(err, errDiskFull) {
			return errors.Join(errs...)
		}
	}
	note("health and metrics", n.monitor.Close())
	if n.groups != nil {
		err := n.unlessFull(ctx, n.groups.Close)
		note("state and log", err)
		if errors.Is(err, errDiskFull) {
			return errors.Join(errs...)
		}
	}
	if n.objects != nil {
		note("object store", n.objects.Close())
	}
	if n.lock != nil {
		note("data directory", n.lock.Close())
	}
	return errors.Join(errs...)
}
