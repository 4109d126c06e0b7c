package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"rookery"
	"rookery/cluster/consensus"
	rlog "rookery/cluster/log"
	"rookery/cmd/node/peers"
	"rookery/storage/mailbox"
	"rookery/storage/state"
	"rookery/storage/system"
)

// mailGroups is how many mail groups a new cluster begins with.
const mailGroups = 4

// groups holds the log, the state, and the Raft groups over both that run on
// this node.
type groups struct {
	node   *Node
	log    *rlog.Log
	state  *state.Store
	raft   *consensus.Node
	peers  *peers.Peers
	system *system.Machine
	logger *slog.Logger

	mu   sync.RWMutex
	mail map[rookery.GroupID]*mailbox.Machine
}

func openGroups(ctx context.Context, n *Node, p *peers.Peers) (g *groups, err error) {
	cfg, deps := n.cfg, n.deps
	g = &groups{node: n, peers: p, mail: map[rookery.GroupID]*mailbox.Machine{}, logger: deps.Logger}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close(ctx))
		}
	}()
	if g.log, err = rlog.Open(deps.tuning.log(rlog.Options{
		Dir: filepath.Join(cfg.DataDir, "log"), FS: deps.FS, Logger: deps.Logger, DiskBudget: cfg.Disk.LogBudget,
		SoftFree: cfg.Disk.SoftFree, HardFree: cfg.Disk.HardFree, OnStall: deps.OnStall, Repair: g.repair,
	})); err != nil {
		return g, err
	}
	if g.state, err = state.Open(filepath.Join(cfg.DataDir, "state"), deps.FS, deps.tuning.state(state.Options{Logger: deps.Logger, OnFailure: deps.stateFailed})); err != nil {
		return g, err
	}
	if g.raft, err = consensus.New(deps.tuning.raft(consensus.Options{
		Node: n.id.Node, Logger: deps.Logger, Clock: deps.Clock, EntryTime: state.EntryTime, Peers: p, Recover: g.recover,
		TempDir:   filepath.Join(cfg.DataDir, "tmp"),
		Log:       func(id rookery.GroupID) (consensus.LogStore, error) { return g.log.Group(id) },
		Transport: p.OpenRaft, Installed: g.fetchBodies,
	})); err != nil {
		return g, err
	}
	sys, err := g.state.Group(rookery.SystemGroup, func(sg *state.Group) state.Machine {
		g.system = system.New(n)(sg)
		return g.system
	})
	if err != nil {
		return g, err
	}
	if err := refuseOld(g.system); err != nil {
		return g, err
	}
	g.eraseRest()
	g.serveCalls(p)
	if err := g.openSystemLog(ctx); err != nil {
		return g, err
	}
	_, err = g.raft.Start(ctx, rookery.SystemGroup, sys, g.founders())
	return g, err
}

// openSystemLog opens the log of the system group, whose entries hold no bodies:
// they may go as soon as Raft permits it.
func (g *groups) openSystemLog(ctx context.Context) error {
	if err := g.openLog(ctx, rookery.SystemGroup); err != nil {
		return err
	}
	lg, err := g.log.Group(rookery.SystemGroup)
	if err != nil {
		return err
	}
	return lg.SetFloor(rlog.BodiesFloor, rlog.Released)
}

// founders are the members of a group that this node begins: itself, where it
// began the cluster; else it waits to be added.
func (g *groups) founders() []consensus.Server {
	if !g.node.id.Created {
		return nil
	}
	return []consensus.Server{g.server(g.node.id.Node)}
}

// server is a node as Raft knows it: its address is its id, which the mesh
// turns into where it is now.
func (g *groups) server(id rookery.NodeID) consensus.Server {
	return consensus.Server{ID: id, Address: string(id)}
}

// start runs a mail group here, unless it runs.
func (g *groups) start(ctx context.Context, id rookery.GroupID, members []consensus.Server) error {
	if g.raft.Group(id) != nil {
		return nil
	}
	if err := g.eraseHalf(id); err != nil {
		return err
	}
	sg, err := g.mailState(id)
	if err != nil {
		return err
	}
	// All stays that is found now, until it is known what has to.
	if err := g.openLog(ctx, id); err != nil {
		return err
	}
	g.mu.Lock()
	g.mail[id] = sg.Machine().(*mailbox.Machine)
	g.mu.Unlock()
	if _, err = g.raft.Start(ctx, id, sg, members); err != nil {
		g.hide(id)
		return err
	}
	r := g.lead(id)
	g.node.road.add(id, r)
	g.node.job("leadership of a group", func(ctx context.Context) error { return g.followLead(ctx, r.Group) })
	return nil
}

// lead is a group that runs here, with the way to its leader.
func (g *groups) lead(id rookery.GroupID) lead {
	return lead{g.raft.Group(id), g.node.id.Node, g.peers}
}

// followLead has the messages that a group owes to others filed when this node
// comes to lead it.
func (g *groups) followLead(ctx context.Context, r *consensus.Group) error {
	changes, led := r.LeaderChanges(), false
	for {
		leads := r.IsLeader()
		if leads && !led {
			g.node.deliver.Led(r.ID())
		}
		led = leads
		select {
		case _, open := <-changes:
			if !open {
				return nil
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// machine is a mail group's machine, nil where the group has no replica here.
func (g *groups) machine(id rookery.GroupID) *mailbox.Machine {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.mail[id]
}

// here are the mail groups that run on this node, in order.
func (g *groups) here() []rookery.GroupID {
	g.mu.RLock()
	defer g.mu.RUnlock()
	ids := make([]rookery.GroupID, 0, len(g.mail))
	for id := range g.mail {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// leads reports whether this node leads a group.
func (g *groups) leads(id rookery.GroupID) bool {
	group := g.raft.Group(id)
	return group != nil && group.IsLeader()
}

// firstMail are the mail groups a new cluster begins with.
func firstMail() []rookery.GroupID {
	ids := make([]rookery.GroupID, mailGroups)
	for i := range ids {
		ids[i] = rookery.SystemGroup + 1 + rookery.GroupID(i)
	}
	return ids
}

// ready waits until a group has a leader and this node shows what it has
// agreed on.
func (g *groups) ready(ctx context.Context, r *road, id rookery.GroupID) error {
	for {
		err := r.Barrier(ctx, id)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return rookery.E("start", rookery.KindUnavailable, fmt.Errorf("group %d has no leader: %w", id, err))
		}
	}
}

// squeeze has every group on this node let go of the log that it can do without.
func (g *groups) squeeze(on bool) {
	for _, id := range append(g.here(), rookery.SystemGroup) {
		if r := g.raft.Group(id); r != nil {
			r.Squeeze(on)
		}
	}
}

// readLog reads an entry's bytes where they lie.
func (g *groups) readLog(_ context.Context, id rookery.GroupID, index rookery.LogIndex, term uint64, p []byte, off int64) error {
	lg, err := g.log.Group(id)
	if err != nil {
		return err
	}
	n, err := lg.ReadAt(index, term, p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return rookery.E("read log", rookery.KindDamaged, fmt.Errorf("entry %d of group %d is shorter than its record says", index, id))
	}
	return err
}

// repair fetches a damaged entry's record from another replica. KindNotFound:
// every other node has said that it has no good one; KindUnavailable: some have
// not answered.
func (g *groups) repair(ctx context.Context, id rookery.GroupID, index rookery.LogIndex, term uint64) ([]byte, error) {
	errs, kind, silent := []error{errors.New("no other node has it")}, rookery.KindNotFound, []rookery.NodeID(nil)
	for _, to := range g.peers.Others() {
		b, err := g.record(ctx, to, peers.At{Group: id, Index: index, Term: term})
		if err == nil {
			return b, nil
		}
		errs = append(errs, err)
		if !rookery.Is(err, rookery.KindNotFound) && !rookery.Is(err, rookery.KindDamaged) {
			kind, silent = rookery.KindUnavailable, append(silent, to)
		}
	}
	if len(silent) > 0 {
		errs[0] = fmt.Errorf("nodes %v could not be asked and may have it", silent)
	}
	return nil, rookery.E("repair log", kind, errors.Join(errs...))
}

// otherLogs are the logs of the other nodes.
type otherLogs struct{ *groups }

// Entry implements log.Peers.
func (o otherLogs) Entry(ctx context.Context, id rookery.GroupID, index rookery.LogIndex, term uint64) ([]byte, error) {
	return o.repair(ctx, id, index, term)
}

// readCommitted hands on committed entries of a group that runs here, from the
// log of this node or of another: what an installed image skipped is there.
func (g *groups) readCommitted(ctx context.Context, id rookery.GroupID, r rlog.Range, each func(rlog.Entry) error) error {
	group := g.raft.Group(id)
	if group == nil {
		return away{g.node, id}.none()
	}
	if applied, _ := group.Machine().Applied(); applied < r.To {
		return rookery.E("read range", rookery.KindUnavailable, fmt.Errorf("group %d: entry %d is not known to be committed; this node is at %d", id, r.To, applied))
	}
	lg, err := g.log.Group(id)
	if err != nil {
		return err
	}
	return lg.Read(ctx, r, otherLogs{g}, each)
}

// recover pulls a group's image from a replica that is at least at an index.
func (g *groups) recover(ctx context.Context, id rookery.GroupID, atLeast rookery.LogIndex) (io.ReadCloser, error) {
	if len(g.peers.Others()) == 0 {
		return nil, rookery.E("recover group", rookery.KindDamaged, errors.New("this node held the only copy; bring its data directory back from a backup"))
	}
	errs := []error{errors.New("no other replica can give the group's state")}
	for _, to := range g.peers.Others() {
		r, err := peers.Image.Open(ctx, g.peers, to, peers.At{Group: id, Index: atLeast})
		if err == nil {
			return r, nil
		}
		errs = append(errs, err)
	}
	return nil, rookery.E("recover group", rookery.KindUnavailable, errors.Join(errs...))
}

func (g *groups) writeImage(q peers.At, w io.Writer) error {
	group := g.raft.Group(q.Group)
	if group == nil {
		return rookery.E("give image", rookery.KindUnavailable, fmt.Errorf("group %d does not run on this node", q.Group))
	}
	image, err := group.Machine().Snapshot()
	if err != nil {
		return err
	}
	defer image.Close()
	if image.Index() < q.Index {
		return rookery.E("give image", rookery.KindUnavailable, fmt.Errorf("this node is at entry %d of group %d, not yet at %d", image.Index(), q.Group, q.Index))
	}
	_, err = image.WriteTo(w)
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
