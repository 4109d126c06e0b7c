package account

import (
	"context"
	"errors"
	"sync"
)

// flights lets one caller do the work for a key while the others wait for the
// same outcome, each under its own context.
type flights struct {
	mu sync.Mutex
	m  map[string]*flight
}

type flight struct {
	done chan struct{}
	m    minted
	err  error
}

var errFlight = errors.New("the work was given up")

// do runs fn once for all callers of the key that meet. A caller whose own ctx
// ends leaves; one that waited for another whose ctx ended tries again itself.
func (f *flights) do(ctx context.Context, key string, fn func() (minted, error)) (minted, error) {
	for {
		f.mu.Lock()
		fl := f.m[key]
		if fl == nil {
			fl = &flight{done: make(chan struct{}), err: errFlight}
			if f.m == nil {
				f.m = make(map[string]*flight)
			}
			f.m[key] = fl
			f.mu.Unlock()
			f.run(key, fl, fn)
			return fl.m, fl.err
		}
		f.mu.Unlock()
		select {
		case <-ctx.Done():
			return minted{}, ctx.Err()
		case <-fl.done:
		}
		if !errors.Is(fl.err, context.Canceled) && !errors.Is(fl.err, context.DeadlineExceeded) {
			return fl.m, fl.err
		}
		if err := ctx.Err(); err != nil {
			return minted{}, err
		}
	}
}

func (f *flights) run(key string, fl *flight, fn func() (minted, error)) {
	defer func() {
		f.mu.Lock()
		delete(f.m, key)
		f.mu.Unlock()
		close(fl.done)
	}()
	fl.m, fl.err = fn()
}
