package consensus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"rookery"
)

// fsm is what the library drives: it turns its log entries into ours.
type fsm struct {
	group *Group

	// mu lets the snapshot goroutine move the applied index past entries
	// the library does not show us.
	mu      sync.Mutex
	entries []rookery.Entry // reused
}

var _ raft.BatchingFSM = (*fsm)(nil)

// ApplyBatch gets commands and configurations, in order, but no no-ops.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	f.mu.Lock()
	f.entries = f.entries[:0]
	var bytes int64
	for _, l := range logs {
		e := rookery.Entry{Index: rookery.LogIndex(l.Index), Term: l.Term}
		switch {
		case l.Type == raft.LogConfiguration:
			e.Configuration = l.Data
		case len(l.Data) > 0:
			e.Data = l.Data
		}
		bytes += int64(len(l.Data))
		f.entries = append(f.entries, e)
	}
	results := f.group.machine.Apply(f.entries)
	f.group.tail.add(f.entries)
	clear(f.entries)
	f.mu.Unlock()
	f.group.backlog.applied(bytes)
	f.group.applied(rookery.LogIndex(logs[len(logs)-1].Index), bytes)
	f.group.caughtUp()
	out := make([]any, len(logs))
	for i, r := range results {
		if r != nil {
			out[i] = r
		}
	}
	return out
}

// Apply is never called by the library when ApplyBatch is there.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// Snapshot costs nothing: the state itself is the snapshot.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) { return permission{f.group}, nil }

// Restore installs an image that has arrived.
func (f *fsm) Restore(r io.ReadCloser) error {
	defer r.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	m, want := f.group.machine, f.group.snapshots.opened
	if index, _ := m.Applied(); index >= want {
		// A late copy of an image sent twice. Both are prefixes of the same
		// log: what we have contains it, and entries replayed are skipped.
		f.group.logger.Info("image is not newer than the state; kept the state", "image", want, "applied", index)
		return f.group.installed()
	}
	if err := m.Restore(r); err != nil {
		return rookery.E("install image", 0, err)
	}
	index, _ := m.Applied()
	if index != want {
		return rookery.E("install image", rookery.KindDamaged, fmt.Errorf("it ends at %d and was announced to end at %d", index, want))
	}
	f.group.logger.Info("installed an image of the group's state", "index", index)
	f.group.applied(index, 0)
	if err := f.group.installed(); err != nil {
		return err
	}
	// Not before: until this returns without an error the library goes by the
	// log it had.
	f.group.caughtUp()
	return nil
}

// installed has the node fetch what an image refers to.
func (g *Group) installed() error {
	if g.node.Installed == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-g.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	return g.node.Installed(ctx, g.id)
}

// permission is the library's snapshot: it writes no image, it makes the
// state durable, after which the log may be truncated behind it.
type permission struct{ group *Group }

// Persist implements raft.FSMSnapshot.
func (p permission) Persist(to raft.SnapshotSink) error {
	mark, ok := to.(*mark)
	if !ok {
		return errors.New("consensus: the snapshot store gave a foreign sink")
	}
	if err := p.group.fsm.pass(mark.index, mark.term); err != nil {
		return err
	}
	if err := p.group.machine.Sync(); err != nil {
		return err
	}
	p.group.trim()
	return to.Close()
}

// Release implements raft.FSMSnapshot.
func (permission) Release() {}

// pass moves the applied index to index where only entries without a
// command lie in between, so that the log is never truncated beyond it.
func (f *fsm) pass(index rookery.LogIndex, term uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if applied, _ := f.group.machine.Applied(); applied < index {
		f.group.machine.Apply([]rookery.Entry{{Index: index, Term: term}})
	}
	if applied, _ := f.group.machine.Applied(); applied < index {
		return rookery.E("snapshot", rookery.KindDamaged, fmt.Errorf("the state is at %d, behind %d", applied, index))
	}
	return nil
}
