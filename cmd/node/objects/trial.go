package objects

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// tryPause bounds the pauses between attempts to try a store that is away.
const tryPause = 5 * time.Minute

// Trial tries the store in force, and keeps what that has shown.
type Trial struct {
	store  *Store
	data   string // the data directory
	logger *slog.Logger

	mu     sync.Mutex
	result string
	place  string // of a directory: see placeOf
	err    error
}

// NewTrial is of a store that nobody has tried yet.
func NewTrial(s *Store, data string, logger *slog.Logger) *Trial {
	return &Trial{store: s, data: data, logger: logger}
}

func (t *Trial) set(result, place string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result, t.place, t.err = result, place, err
}

// Place is the mark of the store's directory, empty until it was tried.
func (t *Trial) Place() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.place
}

// Says tells what the store can do, and as a problem why it cannot be used.
func (t *Trial) Says(problem func(string, ...any)) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		problem("object store: it failed its trial: %v", t.err)
	}
	return t.result
}

// Run tries the store once after the start, and after each change of the
// settings, until it has answered. A store that is away delays nothing: mail is
// kept in the log.
func (t *Trial) Run(ctx context.Context) error {
	for pause := time.Second; ; pause = min(2*pause, tryPause) {
		set := t.store.Settings()
		result, err := Try(ctx, &set, t.data)
		if ctx.Err() != nil {
			return nil
		}
		place := ""
		if err == nil {
			place, err = placeOf(&set, t.data)
		}
		t.set(result, place, err)
		if err == nil {
			t.logger.Info("the object store was tried", "kind", set.Kind, "result", result)
			return nil
		}
		t.logger.Warn("the object store failed its trial; trying again", "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}
