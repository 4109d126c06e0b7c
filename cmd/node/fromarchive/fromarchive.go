// Package fromarchive makes an empty machine the first node of a cluster that is brought
// back from its archive, after all of its nodes are gone.
//
// It owns the order of what is done, and what is told of it. What an archive has is
// package backup's to know; how a directory becomes a node's is datadir's. It never runs
// a node, and writes nothing to either store but that the cluster has begun anew.
package fromarchive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/backup/archive"
	"rookery/backup/past"
	"rookery/cluster/consensus"
	rlog "rookery/cluster/log"
	"rookery/cmd/node/archivekeys"
	"rookery/cmd/node/backups"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/diskroom"
	"rookery/cmd/node/keyring"
	"rookery/cmd/node/objects"
	"rookery/cmd/node/settings"
	"rookery/storage/blob"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
	"rookery/storage/state"
	"rookery/storage/system"
)

// Options are what a cluster is brought back from. All but At, Margin and Progress are
// required.
type Options struct {
	// Config is the node file of this machine; its data directory is empty.
	Config settings.Node
	Kit    datadir.Kit
	// Backup is where the archive lies.
	Backup settings.Store
	// At is the time to go back to; zero is the latest that is whole.
	At time.Time
	// Margin is how far counters go on, as in a recovery from a lost majority.
	Margin uint32
	// Progress is told how much of 1 is done, and what is being done.
	Progress func(done float64, what string)
	Logger   *slog.Logger
	Now      func() time.Time
}

// Group is one group that was brought back.
type Group struct {
	Group rookery.GroupID `json:"group"`
	// Until is the group time of the last entry in it.
	Until   time.Time `json:"until"`
	Entries uint64    `json:"entries"`
	// Lost are bodies that neither the archive nor the object store has.
	Lost int `json:"lost_bodies"`
}

// Restored is what was brought back.
type Restored struct {
	Cluster    string    `json:"cluster"`
	Generation string    `json:"generation"`
	At         time.Time `json:"at"`
	Groups     []Group   `json:"groups"`
	// Removed are the nodes of before, for ever.
	Removed int `json:"removed_nodes"`
}

const op = "bring back cluster"

// Run brings the cluster back. After a failure it can be run again. Errors: KindInvalid,
// what is given does not fit together; KindNotFound, the time cannot be brought back;
// KindExists, the directory is a node's; KindDamaged; KindUnavailable.
func Run(ctx context.Context, o Options) (r Restored, err error) {
	if o.Progress == nil {
		o.Progress = func(float64, string) {}
	}
	x := &run{o: o, dir: datadir.Dir(o.Config.DataDir), node: datadir.NewNodeID()}
	if err := x.openArchive(ctx); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, objects.Close(x.store)) }()
	cut, err := x.cut(ctx)
	if err != nil {
		return r, err
	}
	r.Cluster, r.At = o.Kit.Cluster, time.Unix(0, cut).UTC()
	if err := x.dir.BeginFromArchive(); err != nil {
		return r, err
	}
	generation, err := x.fill(ctx, cut, &r)
	if err != nil {
		return r, err
	}
	o.Progress(1, "making this machine the only node of the cluster")
	plan, err := x.adopt(ctx, generation)
	if err != nil {
		return r, err
	}
	r.Generation, r.Removed = plan.Generation, len(plan.Dead)
	return r, backups.Begin(ctx, x.store, plan.Number)
}

// adopt makes the filled directory the only node of a new generation, with the kit's
// keys; generation is the number of the last one that the archive knows of.
func (x *run) adopt(ctx context.Context, generation uint64) (p datadir.RecoveryPlan, err error) {
	id := datadir.Identity{Node: x.node, Held: true}
	if generation > 0 {
		id.Generation = fmt.Sprintf("%d-archive", generation)
	}
	if err := x.dir.SaveIdentity(id); err != nil {
		return p, err
	}
	if _, err := x.dir.RestoreKeys(ctx, x.o.Kit, x.o.Config.Keys.Command, false, x.o.Logger, x.o.Now()); err != nil {
		return p, err
	}
	report, err := x.dir.Inspect(x.o.Logger)
	if err != nil {
		return p, err
	}
	if p, err = datadir.PlanRecovery([]datadir.Report{report}, x.o.Margin); err != nil {
		return p, err
	}
	p.FromArchive = true
	if err := x.dir.Recover(p, x.o.Logger, x.o.Now()); err != nil {
		return p, err
	}
	return p, x.dir.EndFromArchive()
}

type run struct {
	o       Options
	dir     datadir.Dir
	node    rookery.NodeID
	store   blob.Store
	sealer  *keyring.Sealer
	archive *past.Archive

	log   *rlog.Log
	state *state.Store
	live  blob.Store
	// groups is how many there are, as far as is known.
	groups int
}

// OpenKit gives a kit the keys that lie sealed to it in a backup store.
func OpenKit(ctx context.Context, kit *datadir.Kit, backup settings.Store, logger *slog.Logger) (err error) {
	store, err := objects.OpenStore(&backup, "", logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, objects.Close(store)) }()
	kept, err := backups.ReadKeys(ctx, store, kit.Cluster)
	if err != nil {
		return err
	}
	return kept.Open(kit)
}

// openArchive opens the archive with the kit's keys.
func (x *run) openArchive(ctx context.Context) (err error) {
	if x.store, err = objects.OpenStore(&x.o.Backup, x.o.Config.DataDir, x.o.Logger); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, objects.Close(x.store))
		}
	}()
	owners, err := pack.Owners(ctx, x.store)
	if err != nil {
		return err
	}
	if !slices.Contains(owners, strings.ToLower(x.o.Kit.Cluster)) {
		return rookery.E(op, rookery.KindInvalid, fmt.Errorf("the kit is of cluster %s, and there is no backup of that one there; it has "+
			"backups of: %s", x.o.Kit.Cluster, strings.Join(append(owners, "nobody")[:max(1, len(owners))], ", ")))
	}
	kept, err := backups.ReadKeys(ctx, x.store, x.o.Kit.Cluster)
	if err != nil {
		return err
	}
	if err := kept.Open(&x.o.Kit); err != nil {
		return err
	}
	ring, err := x.o.Kit.SettingsKeys(ctx, x.o.Config.Keys.Command)
	if err != nil {
		return err
	}
	x.sealer = keyring.NewSealer(ring)
	x.archive = &past.Archive{Cluster: x.o.Kit.Cluster, Store: x.store, Keys: archivekeys.New(nil, kept, x.sealer)}
	return nil
}

// cut is the time that is gone back to.
func (x *run) cut(ctx context.Context) (int64, error) {
	c, err := archive.Newest(ctx, x.store, x.o.Kit.Cluster, x.archive.Keys)
	if err != nil {
		return 0, err
	}
	latest := c.Cut()
	switch at := x.o.At.UnixNano(); {
	case x.o.At.IsZero():
		return latest, nil
	case at > latest:
		return 0, rookery.E(op, rookery.KindNotFound, fmt.Errorf("the archive is whole until %s, and not at %s",
			time.Unix(0, latest).UTC().Format(time.RFC3339Nano), x.o.At.UTC().Format(time.RFC3339Nano)))
	default:
		return at, nil
	}
}

// fill brings all groups back into the directory's log and state; generation is that of
// the cluster at that time.
func (x *run) fill(ctx context.Context, cut int64, r *Restored) (generation uint64, err error) {
	lock, err := x.dir.Lock()
	if err != nil {
		return 0, err
	}
	defer lock.Close()
	failed := func(err error) { diskroom.EndProcess(x.o.Logger, err) }
	path := func(part string) string { return filepath.Join(string(x.dir), part) }
	if x.log, err = rlog.Open(rlog.Options{Dir: path("log"), Logger: x.o.Logger, OnStall: failed}); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, x.log.Close()) }()
	if x.state, err = state.Open(path("state"), vfs.Default, state.Options{Logger: x.o.Logger, OnFailure: failed}); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, x.state.Close()) }()
	var machine *system.Machine
	group, err := x.state.Group(rookery.SystemGroup, func(g *state.Group) state.Machine {
		machine = system.New(nil)(g)
		return machine
	})
	if err != nil {
		return 0, err
	}
	if err := x.group(ctx, past.GroupOptions{Group: rookery.SystemGroup, State: group}, cut, r); err != nil {
		return 0, err
	}
	if err := x.openLive(ctx, machine); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, objects.Close(x.live)) }()
	placed, err := machine.Groups()
	if err != nil {
		return 0, err
	}
	x.groups = 1 + len(placed)
	for _, p := range placed {
		if p.Void || p.Group == rookery.SystemGroup {
			continue
		}
		if err := x.mail(ctx, p, cut, r); err != nil {
			return 0, err
		}
	}
	if err := x.state.Sync(); err != nil {
		return 0, err
	}
	before, err := machine.Recoveries()
	if len(before) > 0 {
		generation = before[len(before)-1].Generation
	}
	return generation, err
}

// openLive opens the store of packs that the settings of that time name, which has to be
// this cluster's.
func (x *run) openLive(ctx context.Context, machine *system.Machine) error {
	_, doc, err := machine.Settings()
	if err != nil {
		return err
	}
	set, err := settings.Parse(doc)
	if err == nil {
		err = set.EachSecret(func(key string, v *string) (err error) {
			if *v != "" {
				*v, err = x.sealer.Open(key, *v)
			}
			return err
		})
	}
	if err == nil && set.Store.Kind == "dir" {
		if _, err := os.Stat(objects.Path(&set.Store, x.o.Config.DataDir)); err != nil {
			return rookery.E("open object store", rookery.KindUnavailable,
				fmt.Errorf("the cluster kept its messages there: %w; mount it at that place first", err))
		}
	}
	if err != nil {
		return err
	}
	if x.live, err = objects.OpenStore(&set.Store, x.o.Config.DataDir, x.o.Logger); err != nil {
		return err
	}
	owners, err := pack.Owners(ctx, x.live)
	if err == nil && !slices.Contains(owners, strings.ToLower(x.o.Kit.Cluster)) {
		err = rookery.E("open object store", rookery.KindNotFound, fmt.Errorf("the store that the cluster kept its messages in (%s) "+
			"has none of them: bring that back first, or another copy to that place", set.Store.Kind))
	}
	if err != nil {
		err = errors.Join(err, objects.Close(x.live))
	}
	return err
}

// mail brings a mail group back.
func (x *run) mail(ctx context.Context, p system.GroupPlacement, cut int64, r *Restored) error {
	images, err := archive.Images(ctx, x.store, p.Group)
	if err != nil {
		return err
	}
	if len(images) == 0 && p.Awaits(p.Founder) {
		return nil // it had not begun, and is void
	}
	group, err := x.state.Group(p.Group, func(g *state.Group) state.Machine { return mailbox.New(nil)(g) })
	if err != nil {
		return err
	}
	log, err := x.log.Group(p.Group)
	if err != nil {
		return err
	}
	return x.group(ctx, past.GroupOptions{Group: p.Group, State: group, Live: x.live, Put: log.PutBody}, cut, r)
}

// group brings one group back.
func (x *run) group(ctx context.Context, o past.GroupOptions, cut int64, r *Restored) error {
	o.Archive, o.At = x.archive, cut
	o.Configuration = consensus.OnlyVoter(consensus.Server{ID: x.node, Address: string(x.node)})
	tell := func(part float64, what string) {
		x.o.Progress((float64(len(r.Groups))+part)/float64(max(1, x.groups)), fmt.Sprintf("group %d: %s", o.Group, what))
	}
	o.Progress = func(done, of int) { tell(float64(done)/float64(of), fmt.Sprintf("%d of %d segments", done, of)) }
	tell(0, "reading its image")
	b, err := past.Group(ctx, o)
	if err != nil {
		return err
	}
	r.Groups = append(r.Groups, Group{Group: o.Group, Until: time.Unix(0, b.Until).UTC(), Entries: b.Entries, Lost: b.Lost})
	return nil
}
