package replicas

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/cluster/consensus"
	rlog "rookery/cluster/log"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/settings"
	"rookery/storage/mailbox"
	"rookery/storage/state"
	"rookery/storage/system"
	"rookery/storage/system/people"
)

// Options are what the groups of this node are opened with.
type Options struct {
	// Config is the node's file: its data directory, disk limits and zone.
	Config settings.Node
	// ID is who the node is, by its data directory.
	ID datadir.Identity
	// FS is under the log and the state.
	FS     vfs.FS
	Peers  *peers.Peers
	Alive  func(rookery.NodeID) bool
	Logger *slog.Logger
	Clock  func() time.Time
	// Ended is closed when the node closes: nothing is proposed any more.
	Ended <-chan struct{}
	// OnStall is called when the disk fails, or is full where what it did not
	// take cannot be written again.
	OnStall func(error)
	// Mail hears what the mail groups' machines report, Led that this node has
	// come to lead a group.
	Mail func(rookery.GroupID) mailbox.Events
	Led  func(rookery.GroupID)
	// Erasing hears of accounts whose erasure has begun, Linked that accounts
	// may belong to other directory entries than before, People what has changed in
	// the copies of directories. They are called by the system group's machine and
	// return at once.
	Erasing func([]rookery.AccountID)
	Linked  func()
	People  func(people.Touched)
	// Go runs a job until the node closes.
	Go func(name string, job func(context.Context) error)
	// Committed and Waited hear how long commands and reads waited.
	Committed func(id rookery.GroupID, err error, took time.Duration)
	Waited    func(seconds float64)
	Tune      Tuning
	// NoBarrier leaves the barrier of reads out: a mutant for tests.
	NoBarrier bool
}

// Tuning changes what is opened, for tests.
type Tuning struct {
	Log   func(rlog.Options) rlog.Options
	State func(state.Options) state.Options
	Raft  func(consensus.Options) consensus.Options
	// Apply is in the way of every entry that is proposed here; nil is nobody.
	Apply func(ctx context.Context, id rookery.GroupID, entry []byte, on Way) (rookery.LogIndex, []byte, error)
	// Erasing is told the steps of erasures; its error ends one. It may be nil.
	Erasing func(done string) error
}

// Way takes an entry on to its group.
type Way func(ctx context.Context, entry []byte) (rookery.LogIndex, []byte, error)

// Replicas are the log, the state, and the Raft groups over both that run on
// this node. It is account.Log: commands and barriers go to any group.
type Replicas struct {
	*proposer
	Topics
	opts   Options
	log    *rlog.Log
	state  *state.Store
	raft   *consensus.Node
	system *system.Machine

	mu   sync.RWMutex
	mail map[rookery.GroupID]*mailbox.Machine
}

// Open opens the log and the state, and starts the system group. Of the mail
// groups none runs yet.
func Open(ctx context.Context, o Options) (r *Replicas, err error) {
	r = &Replicas{proposer: newProposer(o.ID, o.Clock, o.Ended), opts: o, mail: map[rookery.GroupID]*mailbox.Machine{}}
	r.between = o.Tune.Apply
	r.committed, r.waited, r.proposer.check, r.proposer.away = o.Committed, o.Waited, r.Proposable, r.away
	defer func() {
		if err != nil {
			err = errors.Join(err, r.StopAll(ctx), r.Close())
			r = nil
		}
	}()
	if err := r.openDisk(); err != nil {
		return r, err
	}
	if r.raft, err = consensus.New(o.Tune.Raft(consensus.Options{
		Node: o.ID.Node, Logger: o.Logger, Clock: o.Clock, EntryTime: state.EntryTime, Peers: o.Peers, Recover: r.recover,
		TempDir: r.path("tmp"), Transport: o.Peers.OpenRaft, Installed: r.FetchBodies,
		Log: func(id rookery.GroupID) (consensus.LogStore, error) { return r.log.Group(id) },
	})); err != nil {
		return r, err
	}
	sys, err := r.state.Group(rookery.SystemGroup, func(sg *state.Group) state.Machine {
		r.system = system.New(systemEvents{r})(sg)
		return r.system
	})
	if err != nil {
		return r, err
	}
	if err := RefuseOld(r.system); err != nil {
		return r, err
	}
	r.eraseRest()
	r.serveCalls()
	if err := r.openSystemLog(ctx); err != nil {
		return r, err
	}
	if _, err := r.raft.Start(ctx, rookery.SystemGroup, sys, r.founders()); err != nil {
		return r, err
	}
	r.add(rookery.SystemGroup, r.leader(rookery.SystemGroup))
	return r, nil
}

func (r *Replicas) path(name string) string { return filepath.Join(r.opts.Config.DataDir, name) }

// openDisk opens the log and the state.
func (r *Replicas) openDisk() (err error) {
	o := &r.opts
	if r.log, err = rlog.Open(o.Tune.Log(rlog.Options{
		Dir: r.path("log"), FS: o.FS, Logger: o.Logger, DiskBudget: o.Config.Disk.LogBudget,
		SoftFree: o.Config.Disk.SoftFree, HardFree: o.Config.Disk.HardFree, OnStall: o.OnStall, Repair: r.repair,
		Floors: map[string]rlog.Class{rlog.BodiesFloor: rlog.Bodies, rlog.ArchiveFloor: rlog.Archive},
	})); err != nil {
		return err
	}
	failed := func(err error) {
		o.OnStall(err)
		panic(err) // the state must not go on
	}
	r.state, err = state.Open(r.path("state"), o.FS, o.Tune.State(state.Options{Logger: o.Logger, OnFailure: failed}))
	return err
}

// openSystemLog opens the log of the system group, whose entries hold no bodies:
// they may go as soon as Raft permits it.
func (r *Replicas) openSystemLog(ctx context.Context) error {
	if err := r.openLog(ctx, rookery.SystemGroup); err != nil {
		return err
	}
	lg, err := r.log.Group(rookery.SystemGroup)
	if err != nil {
		return err
	}
	return lg.SetFloor(rlog.BodiesFloor, rlog.Released)
}

// founders are the members of a group that this node begins: itself, where it
// began the cluster; else it waits to be added.
func (r *Replicas) founders() []consensus.Server {
	if !r.opts.ID.Created {
		return nil
	}
	return []consensus.Server{Server(r.opts.ID.Node)}
}

// Server is a node as Raft knows it: its address is its id, which peers turns
// into where it is now.
func Server(id rookery.NodeID) consensus.Server {
	return consensus.Server{ID: id, Address: string(id)}
}

// System is the state machine of the system group.
func (r *Replicas) System() *system.Machine { return r.system }

// Log is the node's log.
func (r *Replicas) Log() *rlog.Log { return r.log }

// Full reports whether changes of the state wait for room on the disk.
func (r *Replicas) Full() bool { return r.state.Full() }

// Group is a group that runs here, nil where it does not.
func (r *Replicas) Group(id rookery.GroupID) *consensus.Group { return r.raft.Group(id) }

// Machine is a mail group's machine, nil where the group has no replica here.
func (r *Replicas) Machine(id rookery.GroupID) *mailbox.Machine {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.mail[id]
}

// Here are the mail groups that run on this node, in order.
func (r *Replicas) Here() []rookery.GroupID {
	r.mu.RLock()
	defer r.mu.RUnlock()
	ids := make([]rookery.GroupID, 0, len(r.mail))
	for id := range r.mail {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Leads reports whether this node leads a group.
func (r *Replicas) Leads(id rookery.GroupID) bool {
	group := r.raft.Group(id)
	return group != nil && group.IsLeader()
}

// StopAll stops all groups: nothing is applied any more, and reads go on.
func (r *Replicas) StopAll(ctx context.Context) error {
	if r.raft == nil {
		return nil
	}
	return r.raft.Close(ctx)
}

// Close closes the state and the log after StopAll. Whoever still reads then ends the
// process: what answers other nodes, and what is asked for figures, stops before.
func (r *Replicas) Close() error {
	var errs []error
	if r.state != nil {
		errs = append(errs, r.state.Close())
	}
	if r.log != nil {
		errs = append(errs, r.log.Close())
	}
	return errors.Join(errs...)
}
