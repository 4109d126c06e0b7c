package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/protocols/delivery"
	"rookery/storage/account"
	"rookery/storage/body"
	"rookery/storage/mailbox"
)

// Deps are what a node takes from outside; the zero value is a real node.
type Deps struct {
	// Logger hears everything; default: nothing is logged.
	Logger *slog.Logger
	// FS is under the log and the state; default the disk.
	FS vfs.FS
	// Clock stamps commands; default time.Now.
	Clock func() time.Time
	// OnStall is called when the disk fails; default: the process ends.
	OnStall func(error)
	// Settings are written where the cluster has none yet.
	Settings *Settings

	tuning tuning
}

// startWithin bounds the wait for leaders at start.
const startWithin = 30 * time.Second

// Node is one running node.
type Node struct {
	cfg      Config
	deps     Deps
	id       identity
	lock     *os.File
	keys     *body.Keyring
	sealer   *sealer
	groups   *groups
	road     *road
	settings *settingsStore
	people   *people
	bodies   *bodies
	accounts *account.Store
	deliver  *delivery.Deliverer
	servers  *servers
	admin    *adminServer
	limits   atomic.Pointer[Limits]
	changed  chan struct{} // settings have a new version; cap 1

	jobs context.CancelFunc
	wg   sync.WaitGroup
}

// Open starts a node and returns when it serves. The caller closes it.
func Open(ctx context.Context, cfg Config, deps Deps) (n *Node, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, rookery.E("open node", rookery.KindInvalid, err)
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.FS == nil {
		deps.FS = vfs.Default
	}
	if deps.Clock == nil {
		deps.Clock = time.Now
	}
	n = &Node{cfg: cfg, deps: deps, changed: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			err = errors.Join(err, n.Close(closing))
			n = nil
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for _, step := range []func(context.Context) error{n.openDir, n.openGroups, n.openSettings, n.openMail, n.serve} {
		if err := step(ctx); err != nil {
			return n, err
		}
	}
	return n, nil
}

// openDir takes the data directory and reads who this node is.
func (n *Node) openDir(context.Context) (err error) {
	if n.lock, err = lockDir(n.cfg.DataDir); err != nil {
		return err
	}
	for _, d := range []string{"keys", "tmp"} {
		if err := makeDurably(filepath.Join(n.cfg.DataDir, d)); err != nil {
			return rookery.E("open data directory", rookery.KindDenied, err)
		}
	}
	var fresh bool
	if n.id, fresh, err = readIdentity(n.cfg.DataDir, n.deps.FS); err != nil {
		return err
	}
	if n.keys, err = openKeys(filepath.Join(n.cfg.DataDir, "keys", "tenant.json"), fresh); err != nil {
		return err
	}
	if n.sealer, err = openSealer(filepath.Join(n.cfg.DataDir, "keys", "settings.key"), fresh); err != nil {
		return err
	}
	return n.id.save(n.cfg.DataDir)
}

// openKeys reads the tenant keyring. Only a new node may make one: without
// the old one no message of an old node could ever be read.
func openKeys(path string, fresh bool) (*body.Keyring, error) {
	k, err := body.LoadKeyring(path)
	if rookery.Is(err, rookery.KindNotFound) {
		if !fresh {
			return nil, rookery.E("open tenant keys", rookery.KindDamaged,
				fmt.Errorf("%s is missing, and nothing can be read without it; bring it back from the recovery kit", path))
		}
		k = body.GenerateKeyring()
		err = k.Save(path)
	}
	return k, err
}

func (n *Node) openGroups(ctx context.Context) (err error) {
	n.bodies = newBodies(n)
	n.groups, err = openGroups(ctx, n.cfg, n.deps, n.id, events{
		mail:   func(id rookery.GroupID) mailbox.Events { return mailEvents{n, id} },
		system: n,
	})
	if err != nil {
		n.groups = nil // closed itself
		return err
	}
	n.road = newRoad(n.id, n.deps.Clock)
	n.groups.addTo(n.road)
	return n.groups.ready(ctx, n.road)
}

// openSettings reads the settings, after writing the first ones where there
// are none.
func (n *Node) openSettings(ctx context.Context) error {
	n.settings = &settingsStore{road: n.road, system: n.groups.system, sealer: n.sealer}
	_, version, err := n.settings.read(ctx)
	if err != nil {
		return err
	}
	if version == 0 && n.deps.Settings != nil {
		if _, err := n.settings.write(ctx, *n.deps.Settings, 0); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) openMail(ctx context.Context) error {
	set, version, err := n.settings.read(ctx)
	if err != nil {
		return err
	}
	n.limits.Store(&set.Limits)
	n.people = newPeople(n.deps.Logger)
	if version > 0 {
		if err := n.people.use(ctx, &set); err != nil {
			return err
		}
	}
	if err := n.bodies.open(&set.Store); err != nil {
		return err
	}
	machine := func(id rookery.GroupID) *mailbox.Machine { return n.groups.mail[id] }
	n.accounts = account.New(account.Options{
		Log: n.road, Machine: machine, System: n.groups.system, Keys: n.keys, Bodies: n.bodies.reader,
		Groups: n.groups.mailIDs(), Logger: n.deps.Logger, Clock: n.deps.Clock,
	})
	n.bodies.accounts.Store(n.accounts)
	n.deliver = delivery.New(delivery.Options{
		Accounts: n.accounts, Log: n.road, Machine: machine, Groups: n.groups.mailIDs(), Node: n.id.Node, Epoch: n.id.Epoch, ReadBody: n.bodies.reader.ReadAt,
		TempDir: filepath.Join(n.cfg.DataDir, "tmp"), MaxSize: set.Limits.MessageSize, Logger: n.deps.Logger, Clock: n.deps.Clock,
		Leader: func(id rookery.GroupID) bool { return n.groups.raft.Group(id).IsLeader() },
	})
	cert, err := openCertificate(n.cfg.TLS, n.deps.Logger)
	if err != nil {
		return err
	}
	n.servers = newServers(edge{
		cfg: n.cfg, people: n.people, accounts: n.accounts, deliver: n.deliver, cert: cert,
		settings: &set, logger: n.deps.Logger, clock: n.deps.Clock,
	})
	return nil
}

func (n *Node) serve(context.Context) error {
	n.startJobs()
	n.admin = &adminServer{settings: n.settings, status: n.status, logger: n.deps.Logger}
	if err := n.admin.serve(n.cfg.adminSocket()); err != nil {
		return err
	}
	return n.servers.start(n.cfg, func() Limits { return *n.limits.Load() })
}

// Addrs are the addresses the node listens on, by listener name.
func (n *Node) Addrs() map[string][]string { return n.servers.addrs() }

// Close drains the protocols, then stops everything from the edge inwards.
// What was acknowledged is on disk whether or not it is called.
func (n *Node) Close(ctx context.Context) error {
	var errs []error
	note := func(what string, err error) {
		if err != nil {
			errs = append(errs, rookery.E("close "+what, 0, err))
		}
	}
	if n.admin != nil {
		note("administration socket", n.admin.close(ctx))
	}
	if n.servers != nil {
		note("listeners", n.servers.drain(ctx))
	}
	if n.jobs != nil {
		n.jobs()
		n.wg.Wait()
	}
	if n.people != nil {
		note("directories", n.people.close())
	}
	if n.groups != nil {
		note("groups", n.groups.close(ctx))
	}
	if n.bodies != nil {
		note("object store", n.bodies.close())
	}
	if n.lock != nil {
		note("data directory", n.lock.Close())
	}
	return errors.Join(errs...)
}
