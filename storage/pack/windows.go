package pack

import (
	"context"
	"sync"
	"time"

	"rookery"
)

// fetchLimit bounds a shared fetch, which outlives the reader that began it.
const fetchLimit = 2 * time.Minute

// windows makes one request of several readers' wish for the same window and
// keeps the newest few for those that read on in small steps.
type windows struct {
	mu     sync.Mutex
	flying map[window]*fetching
	recent [8]recentWindow
	next   int
}

type recentWindow struct {
	w    window
	data []byte
}

type fetching struct {
	done    chan struct{}
	data    []byte
	err     error
	waiting int
	cancel  context.CancelFunc
}

// do returns the window's bytes, which must not be changed. The fetch goes on
// while anybody waits for it.
func (s *windows) do(ctx context.Context, w window, fetch func(context.Context) ([]byte, error)) ([]byte, error) {
	s.mu.Lock()
	for _, r := range s.recent {
		if r.data != nil && r.w == w {
			s.mu.Unlock()
			return r.data, nil
		}
	}
	f := s.flying[w]
	if f == nil {
		f = s.start(ctx, w, fetch)
	}
	f.waiting++
	s.mu.Unlock()
	select {
	case <-f.done:
		return f.data, f.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	if f.waiting--; f.waiting == 0 {
		f.cancel()
		if s.flying[w] == f {
			delete(s.flying, w)
		}
	}
	s.mu.Unlock()
	return nil, rookery.E("read body", rookery.KindUnavailable, ctx.Err())
}

// start is called with mu held.
func (s *windows) start(ctx context.Context, w window, fetch func(context.Context) ([]byte, error)) *fetching {
	fctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchLimit)
	f := &fetching{done: make(chan struct{}), cancel: cancel}
	if s.flying == nil {
		s.flying = make(map[window]*fetching)
	}
	s.flying[w] = f
	go func() { // ends with the fetch, which is bounded and cancelled when nobody waits
		defer cancel()
		data, err := fetch(fctx)
		s.mu.Lock()
		f.data, f.err = data, err
		if s.flying[w] == f {
			delete(s.flying, w)
		}
		if err == nil {
			s.recent[s.next] = recentWindow{w, data}
			s.next = (s.next + 1) % len(s.recent)
		}
		s.mu.Unlock()
		close(f.done)
	}()
	return f
}
