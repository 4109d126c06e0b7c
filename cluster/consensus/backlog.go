package consensus

import (
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// backlogPause is the longest a follower's store waits for its machine.
const backlogPause = time.Second

// backlog is the group's log with a brake: entries stored but not yet
// applied lie in the library's queues, which count entries, not bytes.
type backlog struct {
	LogStore
	limit int64

	mu    sync.Mutex
	bytes int64
	below chan struct{} // closed when bytes falls to the limit
}

var _ raft.MonotonicLogStore = (*backlog)(nil)

// IsMonotonic passes on what the log says of itself.
func (b *backlog) IsMonotonic() bool {
	m, ok := b.LogStore.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

// StoreLog implements raft.LogStore.
func (b *backlog) StoreLog(l *raft.Log) error { return b.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore.
func (b *backlog) StoreLogs(logs []*raft.Log) error {
	b.pause()
	if err := b.LogStore.StoreLogs(logs); err != nil {
		return err
	}
	var n int64
	for _, l := range logs {
		if l.Type == raft.LogCommand || l.Type == raft.LogConfiguration {
			n += int64(len(l.Data))
		}
	}
	b.mu.Lock()
	b.bytes += n
	b.mu.Unlock()
	return nil
}

func (b *backlog) pause() {
	b.mu.Lock()
	if b.bytes <= b.limit {
		b.mu.Unlock()
		return
	}
	if b.below == nil {
		b.below = make(chan struct{})
	}
	below := b.below
	b.mu.Unlock()
	timer := time.NewTimer(backlogPause)
	defer timer.Stop()
	select {
	case <-below:
	case <-timer.C:
	}
}

// applied takes n bytes off. Entries from before the start and entries
// overwritten make the count wrong, so it never goes below zero, and a
// follower's truncations reset it.
func (b *backlog) applied(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes = max(0, b.bytes-n)
	b.wake()
}

func (b *backlog) wake() {
	if b.bytes <= b.limit && b.below != nil {
		close(b.below)
		b.below = nil
	}
}

// DeleteRange implements raft.LogStore.
func (b *backlog) DeleteRange(from, to uint64) error {
	if err := b.LogStore.DeleteRange(from, to); err != nil {
		return err
	}
	if last, err := b.LastIndex(); err == nil && last <= to {
		// A suffix or everything: what was counted for it will never apply.
		b.mu.Lock()
		b.bytes = 0
		b.wake()
		b.mu.Unlock()
	}
	return nil
}
