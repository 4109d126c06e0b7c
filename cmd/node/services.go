package node

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"time"

	"rookery"
	"rookery/cmd/node/admin"
	"rookery/cmd/node/archivekeys"
	"rookery/cmd/node/backups"
	"rookery/cmd/node/clients"
	"rookery/cmd/node/couriers"
	"rookery/cmd/node/directories"
	"rookery/cmd/node/edge"
	"rookery/cmd/node/elected"
	"rookery/cmd/node/keyring"
	"rookery/cmd/node/members"
	"rookery/cmd/node/monitor"
	"rookery/cmd/node/moves"
	"rookery/cmd/node/objects"
	"rookery/cmd/node/records"
	"rookery/cmd/node/relays"
	"rookery/cmd/node/replicas"
	"rookery/cmd/node/senders"
	"rookery/cmd/node/settings"
	"rookery/cmd/node/signing"
	"rookery/cmd/node/trace"
	"rookery/directory/replica"
	"rookery/protocols/delivery"
	"rookery/storage/account"
	"rookery/storage/command"
	"rookery/storage/daykey"
)

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

// openStores opens what the settings name: directories and the object store.
func (n *Node) openStores(ctx context.Context) error {
	set, version, err := n.settings.First()
	if err != nil {
		return err
	}
	if err := n.rings.Tenant.Find(ctx); err != nil {
		return err
	}
	n.registry.UsePolicy(set.Replication, set.DeadAfter())
	n.openSigning()
	n.signing.Use(set.Domains)
	n.archiveKeys = archivekeys.New(n.groups, n.system, n.rings.Sealer(n.jobs.ctx))
	n.people = directories.New(dialTCP(n.deps.Network), n.deps.Logger, n.metrics.LookedUp)
	n.people.RetryWhen(n.mayRetry)
	n.people.CopyWith(directories.Copies{
		Of:    func(id string) replica.State { return copied{n.system.People(), id} },
		Grace: func() time.Duration { return time.Duration(n.settings.Limits().VanishedDays) * 24 * time.Hour },
		Fresh: n.freshCopy, Complete: n.completeCopy, Anyway: n.deps.tuning.follower != nil, Clock: n.deps.Clock,
	})
	n.hears.people.Store(n.people)
	n.elected = elected.New(elected.Options{
		Self: n.id.Node, Groups: n.groups, Sources: n.sources, Has: n.system.People().Has, Of: n.reports.Of,
		Logger: n.deps.Logger, Clock: n.deps.Clock,
	})
	n.hears.elected.Store(n.elected)
	if version > 0 {
		if err := n.people.Use(ctx, &set); err != nil {
			return err
		}
	}
	if n.objects, err = objects.Open(objects.Options{
		Config: n.cfg, Store: set.Store, Garbage: set.Garbage, Replicas: n.groups, Peers: n.peers, Clocks: n.clocks,
		Logger: n.deps.Logger, Clock: n.deps.Clock,
		Archiving: func() bool { return n.settings.Backup().On() },
		Go:        n.jobs.run, Observe: n.metrics.Stored, DeadFor: n.deps.tuning.deadTime(), NameLife: n.deps.tuning.nameTime(),
		Tune: n.deps.tuning.pack, Around: n.deps.tuning.store,
	}); err != nil {
		return err
	}
	n.hears.objects.Store(n.objects)
	n.settings.Keep(version)
	return nil
}

// openSigning makes the resolver, and what signs outgoing mail.
func (n *Node) openSigning() {
	n.dns = newResolver(n.settings.Outbound(), n.deps.Clock)
	n.signing = signing.New(signing.Options{
		Groups: n.groups, Keys: n.system, Sealer: n.rings.Sealer(n.jobs.ctx), Resolver: signing.Resolver{DNS: n.dns.Resolver},
		Changed: func() { n.groups.Publish(replicas.TopicSigning) }, Logger: n.deps.Logger, Clock: n.deps.Clock,
	})
}

// openMail makes accounts, the way of messages into them, and what looks after
// both.
func (n *Node) openMail(context.Context) error {
	n.accounts = account.New(account.Options{
		Log: n.groups, Machine: n.groups.Machine, System: n.system, Keys: n.rings.Tenant.Keys, Fetch: n.rings.FetchTenant,
		Bodies: n.objects.Reader, Remote: n.questions.facts.Ask, Entry: n.people.Owner,
		Groups: n.registry.MailGroups, Logger: n.deps.Logger, Clock: n.deps.Clock,
	})
	n.hears.accounts.Store(n.accounts)
	n.days = daykey.New(daykey.Options{
		Log: n.groups, Machine: n.groups.Machine, Keys: n.rings.Tenant.Keys, Fetch: n.rings.FetchTenant, Clock: n.deps.Clock,
	})
	n.upkeep = n.objects.Upkeep(n.accounts, func() int { return int(n.settings.Limits().ExpungedDays) }, n.deps.tuning.purgeTime())
	n.keys = n.rings.Work(keyring.Work{
		Self: n.id.Node, Peers: n.peers, Reports: n.reports, Lives: n.lives, Settings: n.settings, Signing: n.signing, Archive: n.archiveKeys,
		Accounts: n.accounts,
		Days:     n.days, Directory: n.people, Logger: n.deps.Logger, Clock: n.deps.Clock,
		Cancel: func(ctx context.Context, who []rookery.AccountID) (int, error) { return n.couriers.CancelOf(ctx, who) },
	})
	n.senders = senders.New(n.system, func(ctx context.Context) error { return n.groups.Barrier(ctx, rookery.SystemGroup) }, n.people)
	n.deliver = delivery.New(delivery.Options{
		Accounts: n.accounts, Log: n.groups, Machine: n.groups.Machine, Groups: n.registry.MailGroups, Name: n.cfg.Name,
		Node: n.id.Node, Epoch: n.id.Epoch, Days: n.days, Signer: n.signing, ReadBody: n.objects.Reader.ReadChecked,
		TempDir: filepath.Join(n.cfg.DataDir, "tmp"), MaxSize: n.settings.MessageSize, Logger: n.deps.Logger, Clock: n.deps.Clock,
		Leader: n.groups.Leads, OpenItems: n.openItems, Observe: n.metrics.Delivered,
		Room:       func() error { return roomOn(n.groups.Log().Disk()) },
		Disabled:   n.senders.Disabled,
		QueueLimit: func() delivery.Limit { return couriers.Limit(n.settings.Outbound(), len(n.registry.MailGroups())) },
		Rate:       func(domain string) command.Rate { return n.settings.Submission().Rate(domain) },
	})
	n.hears.deliver.Store(n.deliver)
	n.moves = moves.New(moves.Options{
		ID: n.id, Replicas: n.groups, ReadBody: n.objects.Reader.ReadChecked, Frozen: n.deps.tuning.frozen, Logger: n.deps.Logger,
		Clock: n.deps.Clock,
	})
	return nil
}

// openEdge makes the protocols, which serve nobody yet.
func (n *Node) openEdge(context.Context) (err error) {
	n.recent = trace.NewRecent(filepath.Join(n.cfg.DataDir, "recent"), n.deps.Clock)
	n.relays = relays.New(n.groups, n.deps.Clock)
	if n.edge, err = edge.New(edge.Options{
		Config: n.cfg, Self: n.id.Node, Settings: n.settings, Listen: n.deps.Network.Listen, Directory: n.people, Accounts: n.accounts,
		Deliver: n.deliver, Replicas: n.groups, Peers: n.peers, Alive: n.lives.Alive, Full: func() bool { return n.host.Full() },
		Observer: n.metrics, Credential: n.relays.Find, SRSKeys: n.srsKeys,
		Logger: n.recent.Logger(n.deps.Logger), Clock: n.deps.Clock,
	}); err != nil {
		return err
	}
	n.hears.edge.Store(n.edge)
	n.couriers = couriers.New(couriers.Options{
		Self: command.Courier{Node: n.id.Node, Epoch: n.id.Epoch}, Hostname: n.cfg.Hostname, Replicas: n.groups, Lives: n.lives,
		Reports: n.reports, Settings: n.settings, Days: n.days, Bodies: n.objects.Reader.Open, Deliver: n.deliver, Router: n.edge.Router,
		Senders:  n.senders,
		Resolver: n.dns.Resolver, Placement: n.accounts.Group,
		Groups: n.registry.MailGroups, Dial: dialTCP(n.deps.Network), Logger: n.deps.Logger, Clock: n.deps.Clock,
		Observe: n.metrics.Outbound, ObserveTLS: n.metrics.OutboundTLS,
	})
	n.hears.couriers.Store(n.couriers)
	n.trace = trace.New(trace.Options{
		Replicas: n.groups, Peers: n.peers, Days: n.days, Recent: n.recent, Groups: n.registry.MailGroups,
		Now: func(id rookery.GroupID) (time.Time, error) { return n.groups.JobTime(n.clocks, id) }, Logger: n.deps.Logger, Clock: n.deps.Clock,
	})
	n.clients = clients.New(clients.Options{Peers: n.peers, Replicas: n.groups, Directory: n.people, Edge: n.edge, Logger: n.deps.Logger})
	n.backups = backups.New(backups.Options{
		Cluster: n.peers.Certificate().Cluster, Node: n.id.Node, Epoch: n.id.Epoch, DataDir: n.cfg.DataDir, Settings: n.settings.Backup,
		LiveSettings: n.objects.Store.Settings, SealedKeys: n.system.ArchiveKeys, ForKit: n.keysForKit,
		Generation: n.id.Number(),
		Replicas:   n.groups, Peers: n.peers, Keys: n.archiveKeys, Accounts: n.accounts, Live: n.objects.Store,
		Room: func() error { return roomOn(n.groups.Log().Disk()) }, Now: n.clocks.Now, Logger: n.deps.Logger, Clock: n.deps.Clock,
		Around: n.deps.tuning.backup,
	})
	n.hears.backups.Store(n.backups)
	n.host = n.registry.Host(members.Works{
		Packers: n.objects, Sessions: n.edge,
		Carries: func(s command.StageID) bool {
			return n.deliver.Carries(s) || n.moves.Carries(s) || n.backups.Carries(s)
		},
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
	n.signing.Use(set.Domains)
	n.dns.use(set.Outbound)
	return nil
}

func (n *Node) serve(ctx context.Context) error {
	n.clients.Serve()
	n.settings.Serve()
	n.openQuestions()
	if err := n.signing.Load(); err != nil {
		return err
	}
	n.monitor.Watch(&monitor.Parts{
		Self: n.id, Replicas: n.groups, Peers: n.peers, Lives: n.lives, Reports: n.reports, Clocks: n.clocks, Settings: n.settings, Keys: n.keys,
		Directories: n.people, Copies: n.elected, Objects: n.objects, Moves: n.moves, Edge: n.edge,
		Backups:     n.backups,
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
		Queue: n.couriers, Relays: n.relays, Trace: n.trace, Backup: n.backups, Copies: n.elected,
		Records: records.New(records.Options{Cluster: n.system, Reports: n.reports.All, Settings: n.settings.Read,
			Resolver: signing.Resolver{DNS: n.dns.Resolver}}),
		Logger: n.deps.Logger,
	})
	return n.edge.Start()
}

// srsKeys are those of rewritten senders. Without any, mail for forwards is told to
// come again.
func (n *Node) srsKeys() [][]byte {
	keys, err := keyring.SRSKeys(n.rings.Settings.Keys)
	if err != nil {
		n.deps.Logger.Warn("there are no keys for senders of forwarded mail", "error", err)
	}
	return keys
}

// keysForKit are the key files that the newest recovery kit is to open, for the backup.
func (n *Node) keysForKit() (digest []byte, seal func() ([]byte, error), err error) {
	kit, err := n.system.Kit()
	if err != nil || len(kit.Public) == 0 {
		return nil, nil, err
	}
	files, err := n.dir.KeyDigest()
	if err != nil {
		return nil, nil, err
	}
	return append(files, kit.Public...), func() ([]byte, error) { return n.dir.SealedForKit(kit.Public) }, nil
}
