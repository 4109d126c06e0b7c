package consensus

import (
	"context"
	"sync"

	"rookery"
)

// waits wakes those who wait for an index to be applied here.
type waits struct {
	mu      sync.Mutex
	applied rookery.LogIndex
	waiting map[*waiter]struct{}
	lowest  rookery.LogIndex // no waiter waits for less
}

type waiter struct {
	index rookery.LogIndex
	done  chan struct{}
}

// advance records that everything up to index is applied and visible.
func (w *waits) advance(index rookery.LogIndex) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if index <= w.applied {
		return
	}
	w.applied = index
	if len(w.waiting) == 0 || index < w.lowest {
		return
	}
	w.lowest = ^rookery.LogIndex(0)
	for x := range w.waiting {
		if x.index <= index {
			close(x.done)
			delete(w.waiting, x)
		} else {
			w.lowest = min(w.lowest, x.index)
		}
	}
}

// wait returns when index is applied, ctx ends or closed is closed.
func (w *waits) wait(ctx context.Context, closed <-chan struct{}, index rookery.LogIndex) error {
	w.mu.Lock()
	if w.applied >= index {
		w.mu.Unlock()
		return nil
	}
	x := &waiter{index: index, done: make(chan struct{})}
	if w.waiting == nil {
		w.waiting = map[*waiter]struct{}{}
	}
	if len(w.waiting) == 0 || index < w.lowest {
		w.lowest = index
	}
	w.waiting[x] = struct{}{}
	w.mu.Unlock()
	err := ErrClosed
	select {
	case <-x.done:
		return nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-closed:
	}
	w.mu.Lock()
	delete(w.waiting, x)
	w.mu.Unlock()
	return rookery.E("wait for applied index", rookery.KindUnavailable, err)
}
