package transport

import (
	"context"
	"time"
)

// onGoAway has the callers of a connection told when this node stops.
func (t *Transport) onGoAway(c *conn, s *callServer) (stop func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.servers == nil {
		t.servers = map[*callServer]struct{}{}
	}
	t.servers[s] = struct{}{}
	if t.closing {
		t.work.Go(s.goAway) // serveCalls is in work, so Close still waits
	}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.servers, s)
	}
}

func (s *callServer) goAway() {
	ctx, cancel := context.WithTimeout(s.ctx, time.Second)
	defer cancel()
	s.w.write(ctx, frameGoAway, 0, nil, nil)
}

// goAway tells every caller to send no more calls here. What they send all
// the same is refused.
func (t *Transport) goAway() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s := range t.servers {
		t.work.Go(s.goAway)
	}
}
