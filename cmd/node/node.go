package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/cmd/node/admin"
	"rookery/cmd/node/clients"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/directories"
	"rookery/cmd/node/edge"
	"rookery/cmd/node/inforce"
	"rookery/cmd/node/keyring"
	"rookery/cmd/node/members"
	"rookery/cmd/node/monitor"
	"rookery/cmd/node/moves"
	"rookery/cmd/node/objects"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/replicas"
	"rookery/cmd/node/settings"
	"rookery/internal/durable"
	"rookery/protocols/delivery"
	"rookery/storage/account"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/system"
)

// Deps are what a node takes from outside; the zero value is a real node.
type Deps struct {
	// Logger hears everything; default: nothing is logged.
	Logger *slog.Logger
	// FS is under the log and the state; default the disk. Keys, the identity,
	// caches and what is spooled lie on the disk always.
	FS vfs.FS
	// Network carries all connections; default the operating system's.
	Network Network
	// Clock stamps commands; default time.Now.
	Clock func() time.Time
	// OnStall is called when the disk fails under the log or the state, or is
	// full where what it did not take cannot be written again; default: the
	// process ends and says why.
	OnStall func(error)
	// AwaitRoom has Open wait where the disk is full, for as long as it takes;
	// else it fails.
	AwaitRoom bool
	// Settings are written where the cluster has none yet.
	Settings *settings.Cluster
	// Create makes a new cluster where the data directory is not a node's.
	Create bool

	tuning tuning
}

// complete gives what is not set its default.
func (d *Deps) complete() {
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.FS == nil {
		d.FS = systemDisk()
	}
	if d.Network == nil {
		d.Network = systemNetwork{}
	}
	if d.Clock == nil {
		d.Clock = systemClock()
	}
	d.tuning = systemTuning(d.tuning)
	if d.OnStall == nil {
		d.OnStall = func(err error) { datadir.EndProcess(d.Logger, err) }
	}
}

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
	settings *inforce.Settings
	people   *directories.Directories
	rings    *keyring.Rings
	keys     *keyring.Service
	registry *members.Registry
	host     *members.Host
	objects  *objects.Service
	upkeep   *objects.Upkeep
	moves    *moves.Service
}

// mail is the way of messages and of those who read them.
type mail struct {
	accounts  *account.Store
	deliver   *delivery.Deliverer
	questions questions
	edge      *edge.Edge
	clients   *clients.Service
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
	for _, step := range []func(context.Context) error{n.openIdentity, n.openGroups, n.openSettings, n.openMail, n.startGroups, n.serve} {
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

// openDir takes the data directory, which has to be a node's.
func (n *Node) openDir(ctx context.Context) error {
	if n.deps.Create {
		if err := datadir.Create(ctx, n.cfg, n.deps.FS, n.deps.Clock()); err != nil && !rookery.Is(err, rookery.KindExists) {
			return err
		}
	}
	lock, err := n.dir.Lock()
	if err != nil {
		return err
	}
	n.lock = lock
	have, err := n.dir.Exists(n.deps.FS)
	if err != nil {
		return err
	}
	if !have {
		return rookery.E("open node", rookery.KindNotFound, fmt.Errorf("%s is not a node's directory yet; begin a cluster with rookery init, or enter one with rookery join", n.cfg.DataDir))
	}
	return nil
}

// openIdentity reads who this node is and the keys it opens everything with.
func (n *Node) openIdentity(ctx context.Context) (err error) {
	if err := durable.MakeDir(filepath.Join(n.cfg.DataDir, "tmp")); err != nil {
		return rookery.E("open data directory", rookery.KindDenied, err)
	}
	if n.id, err = n.dir.Start(n.deps.FS); err != nil {
		return err
	}
	n.stored, err = keyring.Load(ctx, n.dir, n.cfg.Keys.Command)
	return err
}

func (n *Node) openGroups(ctx context.Context) (err error) {
	if n.peers, err = peers.Open(peers.Options{
		Config: n.cfg, ID: n.id, Network: n.deps.Network, Logger: n.deps.Logger, Clock: n.deps.Clock, Admit: n.hears.admit,
		Invited: n.hears.invited, Removed: n.removedBy,
	}); err != nil {
		return err
	}
	guard, err := n.peers.GuardRollback(ctx, n.ending.end)
	if err = cmp.Or(err, n.ending.why()); err != nil {
		return err
	}
	if n.groups, err = n.openReplicas(ctx); err != nil {
		return err
	}
	n.system = n.groups.System()
	members.WarnOfKey(n.groups, n.peers, n.id.Node, n.deps.Logger)
	n.questions.facts = replicas.NewQuestion(n.groups, peers.AccountFacts, askWait, n.factsHere)
	n.rings = keyring.New(n.stored, keyring.Options{
		Self: n.id.Node, DataDir: n.cfg.DataDir, Replicas: n.groups, Peers: n.peers, Logger: n.deps.Logger, TenantMoved: n.hears.keysMoved,
	})
	n.settings = inforce.New(inforce.Options{
		DataDir: n.cfg.DataDir, Self: n.id.Node, Node: n.cfg.Name, Replicas: n.groups, Peers: n.peers, Dial: dialTCP(n.deps.Network),
		Sealer: n.rings.Sealer(n.jobs.ctx), Logger: n.deps.Logger,
	})
	if err := n.peers.Listen(ctx); err != nil {
		return err
	}
	if err := n.rings.Settings.Find(ctx); err != nil {
		return err
	}
	keys, err := keyring.GossipKeys(n.rings.Settings.Keys)
	if err != nil {
		return err
	}
	if n.lives, err = n.peers.OpenLiveness(ctx, keys, func() { n.groups.Publish(replicas.TopicPlacement) }); err != nil {
		return err
	}
	n.reports = n.peers.NewReports(n.jobs.ctx, n.lives.Alive, n.report) // which say how long it is alive
	n.clocks = peers.NewClocks(n.reports, n.groups.MemberIDs)
	n.jobs.run("gossip", n.lives.Run)
	n.jobs.run("unknown members", n.peers.Meet)
	n.jobs.run("rollback guard", func(ctx context.Context) error { return guard.Run(ctx, n.lives.Alive) })
	n.registry = members.New(members.Options{
		Config: n.cfg, ID: n.id, Dir: n.dir, Replicas: n.groups, Peers: n.peers, Lives: n.lives, Reports: n.reports, Clocks: n.clocks,
		TenantKeys: n.rings.Tenant.Keys, QuorumWait: n.deps.tuning.quorumWait(), End: n.ending.end, Logger: n.deps.Logger, Clock: n.deps.Clock,
	})
	n.hears.registry.Store(n.registry)
	if err := n.registry.Enter(ctx); err != nil {
		return err
	}
	return n.groups.LearnMembers()
}

// openReplicas opens the groups of this node.
func (n *Node) openReplicas(ctx context.Context) (*replicas.Replicas, error) {
	return replicas.Open(ctx, replicas.Options{
		Config: n.cfg, ID: n.id, FS: n.deps.FS, Peers: n.peers, Logger: n.deps.Logger, Clock: n.deps.Clock, OnStall: n.deps.OnStall,
		Alive: func(id rookery.NodeID) bool { return n.lives.Alive(id) }, Ended: n.jobs.ctx.Done(), Go: n.jobs.run,
		Mail: func(id rookery.GroupID) mailbox.Events { return mailEvents{n, id} }, Led: n.hears.led, Erasing: n.hears.erasing,
		Linked:    n.hears.linked,
		Committed: n.metrics.Committed, Waited: n.metrics.Waited, NoBarrier: noBarrier,
		Tune: replicas.Tuning{Log: n.deps.tuning.log, State: n.deps.tuning.state, Raft: n.deps.tuning.raft, Apply: n.deps.tuning.apply, Erasing: n.deps.tuning.erasing},
	})
}

func (n *Node) startGroups(ctx context.Context) error { return n.host.Start(ctx) }

// openSettings reads the settings, after writing the first ones where there
// are none.
func (n *Node) openSettings(ctx context.Context) error {
	version, _, err := n.system.Settings()
	if err != nil {
		return err
	}
	if version == 0 && n.deps.Settings != nil {
		if _, err := n.settings.Write(ctx, *n.deps.Settings, 0); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) openMail(ctx context.Context) error {
	set, version, err := n.settings.First()
	if err != nil {
		return err
	}
	if err := n.rings.Tenant.Find(ctx); err != nil {
		return err
	}
	n.registry.UsePolicy(set.Replication, set.DeadAfter())
	n.people = directories.New(dialTCP(n.deps.Network), n.deps.Logger, n.metrics.LookedUp)
	n.people.RetryWhen(n.mayRetry)
	if version > 0 {
		if err := n.people.Use(ctx, &set); err != nil {
			return err
		}
	}
	if n.objects, err = objects.Open(objects.Options{
		Config: n.cfg, Store: set.Store, Garbage: set.Garbage, Replicas: n.groups, Peers: n.peers, Clocks: n.clocks,
		Logger: n.deps.Logger, Clock: n.deps.Clock,
		Go: n.jobs.run, Observe: n.metrics.Stored, DeadFor: n.deps.tuning.deadTime(), NameLife: n.deps.tuning.nameTime(),
		Tune: n.deps.tuning.pack, Around: n.deps.tuning.store,
	}); err != nil {
		return err
	}
	n.hears.objects.Store(n.objects)
	n.settings.Keep(version)
	n.accounts = account.New(account.Options{
		Log: n.groups, Machine: n.groups.Machine, System: n.system, Keys: n.rings.Tenant.Keys, Fetch: n.rings.FetchTenant,
		Bodies: n.objects.Reader, Remote: n.questions.facts.Ask, Entry: n.people.Owner,
		Groups: n.registry.MailGroups, Logger: n.deps.Logger, Clock: n.deps.Clock,
	})
	n.hears.accounts.Store(n.accounts)
	n.upkeep = n.objects.Upkeep(n.accounts, func() int { return n.settings.Limits().ExpungedDays }, n.deps.tuning.purgeTime())
	n.keys = n.rings.Work(keyring.Work{
		Self: n.id.Node, Peers: n.peers, Reports: n.reports, Lives: n.lives, Settings: n.settings, Accounts: n.accounts, Directory: n.people,
		Logger: n.deps.Logger, Clock: n.deps.Clock,
	})
	n.deliver = delivery.New(delivery.Options{
		Accounts: n.accounts, Log: n.groups, Machine: n.groups.Machine, Groups: n.registry.MailGroups, Node: n.id.Node,
		Epoch: n.id.Epoch, ReadBody: n.objects.Reader.ReadChecked,
		TempDir: filepath.Join(n.cfg.DataDir, "tmp"), MaxSize: n.settings.MessageSize, Logger: n.deps.Logger, Clock: n.deps.Clock,
		Leader: n.groups.Leads, OpenItems: n.openItems, Observe: n.metrics.Delivered,
		Room: func() error { return roomOn(n.groups.Log().Disk()) },
	})
	n.hears.deliver.Store(n.deliver)
	n.moves = moves.New(moves.Options{
		ID: n.id, Replicas: n.groups, ReadBody: n.objects.Reader.ReadChecked, Frozen: n.deps.tuning.frozen, Logger: n.deps.Logger,
		Clock: n.deps.Clock,
	})
	if n.edge, err = edge.New(edge.Options{
		Config: n.cfg, Self: n.id.Node, Settings: n.settings, Listen: n.deps.Network.Listen, Directory: n.people, Accounts: n.accounts,
		Deliver:  n.deliver,
		Replicas: n.groups, Peers: n.peers, Alive: n.lives.Alive, Full: func() bool { return n.host.Full() }, Observer: n.metrics,
		Logger: n.deps.Logger, Clock: n.deps.Clock,
	}); err != nil {
		return err
	}
	n.hears.edge.Store(n.edge)
	n.clients = clients.New(clients.Options{Peers: n.peers, Replicas: n.groups, Directory: n.people, Edge: n.edge, Logger: n.deps.Logger})
	n.host = n.registry.Host(members.Works{
		Packers: n.objects, Sessions: n.edge,
		Carries: func(s command.StageID) bool { return n.deliver.Carries(s) || n.moves.Carries(s) },
	})
	return nil
}

// useSettings puts changed settings into force in what they opened.
func (n *Node) useSettings(ctx context.Context, set *settings.Cluster) error {
	if err := errors.Join(n.people.Use(ctx, set), n.objects.Reopen(set.Store)); err != nil {
		return err
	}
	n.objects.UseGarbage(&set.Garbage)
	n.registry.UsePolicy(set.Replication, set.DeadAfter())
	return nil
}

func (n *Node) serve(ctx context.Context) error {
	n.clients.Serve()
	n.settings.Serve()
	n.openQuestions()
	n.monitor.Watch(&monitor.Parts{
		Self: n.id, Replicas: n.groups, Peers: n.peers, Lives: n.lives, Reports: n.reports, Clocks: n.clocks, Settings: n.settings, Keys: n.keys,
		Directories: n.people, Objects: n.objects, Moves: n.moves, Edge: n.edge,
		Replication: func() int { return n.registry.Policy().Replication },
	})
	n.startJobs()
	socket, err := n.deps.Network.Listen(ctx, "unix", n.cfg.AdminSocket())
	if err != nil {
		return rookery.E("open administration socket", cmp.Or(rookery.KindOf(err), rookery.KindUnavailable), err)
	}
	n.admin = admin.Open(ctx, socket, admin.Options{
		Node: n.cfg.Name, Replicas: n.groups, Accounts: n.accounts, Status: n.monitor.Status, Settings: n.settings, Members: n.registry,
		Keys:    n.keys,
		Storage: n.objects, Upkeep: n.upkeep, Directory: n.people, SignIns: n.edge.SignIns, Moves: n.moves, Clients: n.clients,
		Logger: n.deps.Logger,
	})
	return n.edge.Start()
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
	if n.groups != nil {
		err := n.unlessFull(ctx, func() error { return n.groups.Close(ctx) })
		note("groups", err)
		if errors.Is(err, errDiskFull) {
			return errors.Join(errs...)
		}
	}
	if n.peers != nil {
		note("transport", n.peers.Close(ctx))
	}
	if n.objects != nil {
		note("object store", n.objects.Close())
	}
	note("health and metrics", n.monitor.Close())
	if n.lock != nil {
		note("data directory", n.lock.Close())
	}
	return errors.Join(errs...)
}
