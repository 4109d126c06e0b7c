package node

import (
	"context"
	"sync"
	"time"
)

// tryPause bounds the pauses between attempts to try a store that is away.
const tryPause = 5 * time.Minute

// triedStore is what the trying of the object store has shown.
type triedStore struct {
	mu     sync.Mutex
	result string
	place  string // of a directory: see placeOf
	err    error
}

func (t *triedStore) set(result, place string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result, t.place, t.err = result, place, err
}

// where is the mark of the store's directory, empty until it was tried.
func (t *triedStore) where() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.place
}

// says tells what the store can do, and as a problem why it cannot be used.
func (t *triedStore) says(problem func(string, ...any)) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		problem("object store: it failed its trial: %v", t.err)
	}
	return t.result
}

// tryStore tries the object store once after the start, and after each change
// of the settings, until it has answered. A store that is away delays nothing:
// mail is kept in the log.
func (b *bodies) tryStore(ctx context.Context) error {
	for pause := time.Second; ; pause = min(2*pause, tryPause) {
		now := b.store.now.Load()
		result, err := TryStore(ctx, &now.by, b.node.cfg.DataDir)
		if ctx.Err() != nil {
			return nil
		}
		place := ""
		if err == nil {
			place, err = placeOf(&now.by, b.node.cfg.DataDir)
		}
		b.tried.set(result, place, err)
		if err == nil {
			b.node.deps.Logger.Info("the object store was tried", "kind", now.by.Kind, "result", result)
			return nil
		}
		b.node.deps.Logger.Warn("the object store failed its trial; trying again", "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}
