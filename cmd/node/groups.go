package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"rookery"
	"rookery/cluster/consensus"
	rlog "rookery/cluster/log"
	"rookery/storage/mailbox"
	"rookery/storage/state"
	"rookery/storage/system"
)

// mailGroups is how many mail groups a new cluster begins with.
const mailGroups = 4

// groups holds the log, the state, and the Raft groups over both.
type groups struct {
	log    *rlog.Log
	state  *state.Store
	raft   *consensus.Node
	system *system.Machine
	mail   map[rookery.GroupID]*mailbox.Machine
	logger *slog.Logger
}

// events are the sinks of what the state machines report.
type events struct {
	mail   func(rookery.GroupID) mailbox.Events
	system system.Events
}

func openGroups(ctx context.Context, cfg Config, deps Deps, id identity, ev events) (g *groups, err error) {
	g = &groups{mail: map[rookery.GroupID]*mailbox.Machine{}, logger: deps.Logger}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close(ctx))
		}
	}()
	if g.log, err = rlog.Open(deps.tuning.log(rlog.Options{
		Dir: filepath.Join(cfg.DataDir, "log"), FS: deps.FS, Logger: deps.Logger, DiskBudget: cfg.Disk.LogBudget,
		SoftFree: cfg.Disk.SoftFree, HardFree: cfg.Disk.HardFree, OnStall: deps.OnStall,
	})); err != nil {
		return g, err
	}
	if g.state, err = state.Open(filepath.Join(cfg.DataDir, "state"), deps.FS, deps.tuning.state(state.Options{Logger: deps.Logger})); err != nil {
		return g, err
	}
	if g.raft, err = consensus.New(deps.tuning.raft(consensus.Options{
		Node: id.Node, Logger: deps.Logger, Clock: deps.Clock, EntryTime: state.EntryTime,
		TempDir: filepath.Join(cfg.DataDir, "tmp"),
		Log:     func(id rookery.GroupID) (consensus.LogStore, error) { return g.log.Group(id) },
		Transport: func(rookery.GroupID) (consensus.Transport, error) {
			return consensus.NewSolitaryTransport(id.Node), nil
		},
	})); err != nil {
		return g, err
	}
	members := []consensus.Server{{ID: id.Node, Address: string(id.Node)}}
	sys, err := g.state.Group(rookery.SystemGroup, func(sg *state.Group) state.Machine {
		g.system = system.New(ev.system)(sg)
		return g.system
	})
	if err != nil {
		return g, err
	}
	if _, err = g.raft.Start(ctx, rookery.SystemGroup, sys, members); err != nil {
		return g, err
	}
	for _, gid := range g.mailIDs() {
		sg, err := g.state.Group(gid, func(sg *state.Group) state.Machine {
			g.mail[gid] = mailbox.New(ev.mail(gid))(sg)
			return g.mail[gid]
		})
		if err != nil {
			return g, err
		}
		if _, err = g.raft.Start(ctx, gid, sg, members); err != nil {
			return g, err
		}
	}
	return g, nil
}

func (g *groups) mailIDs() []rookery.GroupID {
	ids := make([]rookery.GroupID, mailGroups)
	for i := range ids {
		ids[i] = rookery.SystemGroup + 1 + rookery.GroupID(i)
	}
	return ids
}

// addTo gives the road every group.
func (g *groups) addTo(r *road) {
	for _, id := range append(g.mailIDs(), rookery.SystemGroup) {
		r.add(id, raftGroup{g.raft.Group(id)})
	}
}

// raftGroup adds the barrier that a road needs.
type raftGroup struct{ *consensus.Group }

func (r raftGroup) Barrier(ctx context.Context) error {
	index, err := r.ReadIndex(ctx)
	if err != nil {
		return err
	}
	return r.Wait(ctx, index)
}

// ready waits until every group has a leader that serves.
func (g *groups) ready(ctx context.Context, r *road) error {
	for _, id := range append(g.mailIDs(), rookery.SystemGroup) {
		for {
			err := r.Barrier(ctx, id)
			if err == nil {
				break
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				return rookery.E("start", rookery.KindUnavailable, fmt.Errorf("group %d has no leader: %w", id, err))
			}
		}
	}
	return nil
}

// readLog reads an entry's bytes where they lie.
func (g *groups) readLog(_ context.Context, id rookery.GroupID, index rookery.LogIndex, term uint64, p []byte, off int64) error {
	lg, err := g.log.Group(id)
	if err != nil {
		return err
	}
	n, err := lg.ReadAt(index, term, p, off)
	if err == nil && n < len(p) {
		return rookery.E("read log", rookery.KindDamaged, fmt.Errorf("entry %d of group %d is shorter than its record says", index, id))
	}
	if n == len(p) {
		return nil
	}
	return err
}

func (g *groups) close(ctx context.Context) error {
	var errs []error
	if g.raft != nil {
		errs = append(errs, g.raft.Close(ctx))
	}
	if g.state != nil {
		errs = append(errs, g.state.Close())
	}
	if g.log != nil {
		errs = append(errs, g.log.Close())
	}
	return errors.Join(errs...)
}
