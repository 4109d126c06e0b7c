package consensus

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
	"golang.org/x/sync/semaphore"

	"rookery"
)

func (n *Node) start(ctx context.Context, id rookery.GroupID, m Machine, bootstrap []Server) (*Group, error) {
	log, err := n.opts.Log(id)
	if err != nil {
		return nil, err
	}
	if err := n.reconcile(ctx, id, log, m); err != nil {
		return nil, err
	}
	trace, err := heldBelow(log, m)
	if err != nil {
		return nil, err
	}
	notify := make(chan bool, 16)
	conf := n.opts.raftConfig(id, notify)
	g := &Group{
		id: id, node: &n.opts, machine: m, logger: n.opts.Logger.With("group", id),
		backlog:   &backlog{LogStore: log, limit: n.opts.MaxBacklog},
		snapshots: newSnapshots(m, n.opts.TempDir),
		inFlight:  semaphore.NewWeighted(n.opts.MaxInFlight),
		closed:    make(chan struct{}), started: make(chan struct{}),
		snapshotNow: make(chan struct{}, 1), readyChanged: make(chan struct{}),
	}
	g.fsm = &fsm{group: g}
	applied, _ := m.Applied()
	g.waits.applied = applied
	trans, contacts, err := n.transport(id)
	if err != nil {
		return nil, err
	}
	g.contacts = contacts
	if trace != nil {
		// It was a member: it begins nothing.
		trans, bootstrap = g.hold(trace, conf, trans), nil
	}
	if err := g.bootstrap(conf, trans, bootstrap); err != nil {
		return nil, errors.Join(err, closeTransport(trans))
	}
	if g.raft, err = newRaft(conf, g.fsm, g.backlog, g.backlog, g.snapshots, trans); err != nil {
		return nil, errors.Join(err, closeTransport(trans))
	}
	close(g.started)
	g.run(notify)
	if h, ok := trans.(*held); ok {
		g.work.Go(h.run)
	}
	return g, nil
}

// newRaft is raft.NewRaft, which panics where an entry cannot be read: that is
// an error of this replica's, with the kind that the log gave it.
func newRaft(conf *raft.Config, fsm raft.FSM, logs raft.LogStore, stable raft.StableStore, snaps raft.SnapshotStore,
	trans raft.Transport) (r *raft.Raft, err error) {
	defer func() {
		switch unread := recover().(type) {
		case nil:
		case error:
			r, err = nil, rookery.E("start group", 0, unread)
		default:
			panic(unread)
		}
	}()
	return raft.NewRaft(conf, fsm, logs, stable, snaps, trans)
}

// hold keeps the replica from what its trace forbids.
func (g *Group) hold(t *Trace, conf *raft.Config, trans Transport) Transport {
	g.held.Store(t)
	g.logger.Info("an earlier replica was on this disk: votes for nobody behind it until caught up", "term", t.Term, "last", t.Last)
	conf.HeartbeatTimeout, conf.ElectionTimeout = never, never
	return &held{Transport: trans, group: g, calls: make(chan raft.RPC)}
}

func closeTransport(t raft.Transport) error {
	if c, ok := t.(raft.WithClose); ok {
		return c.Close()
	}
	return nil
}

func (g *Group) bootstrap(conf *raft.Config, trans raft.Transport, servers []Server) error {
	if len(servers) == 0 {
		return nil
	}
	var c raft.Configuration
	for _, s := range servers {
		c.Servers = append(c.Servers, s.raft())
	}
	exists, err := raft.HasExistingState(g.backlog, g.backlog, g.snapshots)
	if err != nil {
		return err
	}
	if !exists {
		return raft.BootstrapCluster(conf, g.backlog, g.backlog, g.snapshots, trans, c)
	}
	half, err := g.halfBootstrapped()
	if err != nil || !half {
		return err
	}
	return g.backlog.StoreLog(&raft.Log{Index: 1, Term: 1, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(c)})
}

// halfBootstrapped reports whether the power went between the two writes of
// raft.BootstrapCluster: the term is 1, but the first entry is missing. Such a
// group knows no members and would never elect anyone. A member that has voted
// or got anything from others is never taken for one.
func (g *Group) halfBootstrapped() (bool, error) {
	if applied, _ := g.machine.Applied(); applied > 0 {
		return false, nil
	}
	if last, err := g.backlog.LastIndex(); err != nil || last > 0 {
		return false, err
	}
	term, err := g.backlog.GetUint64([]byte("CurrentTerm"))
	if err != nil || term != 1 {
		return false, err
	}
	voted, err := g.backlog.GetUint64([]byte("LastVoteTerm"))
	if err != nil && err.Error() != "not found" {
		return false, err
	}
	return voted == 0, nil
}

// reconcile makes sure the log continues the state. The order of writes
// (entry, then state; state synced, then log truncated) leaves only the
// cases it mends; the others mean lost or foreign files.
func (n *Node) reconcile(ctx context.Context, id rookery.GroupID, log LogStore, m Machine) error {
	first, err := log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := log.LastIndex()
	if err != nil {
		return err
	}
	applied, _ := m.Applied()
	if last > 0 && rookery.LogIndex(first) > applied+1 {
		if err := n.recoverState(ctx, id, m, rookery.LogIndex(first-1)); err != nil {
			return err
		}
	}
	applied, term := m.Applied()
	if applied == 0 {
		return nil
	}
	current, err := log.GetUint64([]byte("CurrentTerm"))
	if err != nil && err.Error() != "not found" {
		return err
	}
	if current < term {
		return rookery.E("check log", rookery.KindDamaged, fmt.Errorf(
			"the state holds entries of term %d, the log's term is %d: the log has been lost or replaced; "+
				"remove this node from the group and join it again under a new name", term, current))
	}
	return resetLog(log, first, last, uint64(applied), term)
}

// resetLog empties a log that an installed image has overtaken, or that
// disagrees with it: raft would otherwise append behind a gap.
func resetLog(log LogStore, first, last, applied, term uint64) error {
	if last == 0 || first > applied {
		return nil
	}
	if last >= applied {
		var l raft.Log
		err := log.GetLog(applied, &l)
		if errors.Is(err, raft.ErrLogNotFound) {
			// A store that keeps what an image overtook has a hole there;
			// what follows the image was appended after it.
			return log.GetLog(applied+1, &l)
		}
		if err != nil || l.Term == term {
			return err
		}
	}
	return log.DeleteRange(first, last)
}

func (n *Node) recoverState(ctx context.Context, id rookery.GroupID, m Machine, atLeast rookery.LogIndex) error {
	const op = "recover state"
	applied, _ := m.Applied()
	gap := fmt.Errorf("the state is at index %d, but the log begins after %d", applied, atLeast)
	if n.opts.Recover == nil {
		return rookery.E(op, rookery.KindDamaged, fmt.Errorf("%w: fetch the group's state from another node", gap))
	}
	n.opts.Logger.Warn("fetching the group's state from another node", "group", id, "cause", gap)
	r, err := n.opts.Recover(ctx, id, atLeast)
	if err != nil {
		return rookery.E(op, 0, fmt.Errorf("%w: %w", gap, err))
	}
	if err := errors.Join(m.Restore(r), r.Close()); err != nil {
		return rookery.E(op, 0, fmt.Errorf("%w: %w", gap, err))
	}
	if got, _ := m.Applied(); got < atLeast {
		return rookery.E(op, rookery.KindDamaged, fmt.Errorf("%w, and so is the image fetched, at %d", gap, got))
	}
	return nil
}
