package listen

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Conn is one connection of a server. Its methods may be called at any time,
// also after its end, and do not wait for the client.
type Conn interface {
	comparable
	// Listener is what the connection came by; nil: another node.
	Listener() net.Listener
	// Drain has it end in good order: at once where it is idle, else after what
	// it is doing.
	Drain()
	// Cut breaks it off.
	Cut()
}

// Conns are the open connections of one server. All methods may be called
// concurrently.
type Conns[C Conn] struct {
	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[C]struct{}
	draining  atomic.Bool
	empty     chan struct{} // closed when draining and no connection is left
}

// NewConns makes one without connections.
func NewConns[C Conn]() *Conns[C] {
	return &Conns[C]{listeners: make(map[net.Listener]struct{}), conns: make(map[C]struct{}), empty: make(chan struct{})}
}

// Serve accepts connections and hands each to start, which does not wait for
// it, until ctx ends, the listener fails, or Shutdown is called; the last gives
// nil. When ctx ends, the listener's connections are cut.
func (t *Conns[C]) Serve(ctx context.Context, ln net.Listener, start func(net.Conn)) error {
	if !t.listen(ln) {
		return nil
	}
	defer t.leave(ln)
	stop := context.AfterFunc(ctx, func() {
		ln.Close()
		t.cut(ln)
	})
	defer stop()
	for {
		c, err := ln.Accept()
		switch {
		case err == nil:
			start(c)
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, net.ErrClosed):
			return nil
		default:
			return err
		}
	}
}

// listen notes a listener, which Shutdown closes. It is false, and ln closed,
// when that came first.
func (t *Conns[C]) listen(ln net.Listener) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.draining.Load() {
		ln.Close()
		return false
	}
	t.listeners[ln] = struct{}{}
	return true
}

func (t *Conns[C]) leave(ln net.Listener) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.listeners, ln)
}

// cut breaks off the connections that came by a listener.
func (t *Conns[C]) cut(ln net.Listener) {
	for _, c := range t.All() {
		if c.Listener() == ln {
			c.Cut()
		}
	}
}

// Add counts a connection in; false: the server is shutting down.
func (t *Conns[C]) Add(c C) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.draining.Load() {
		return false
	}
	t.conns[c] = struct{}{}
	return true
}

// Remove counts a connection out; once more does nothing.
func (t *Conns[C]) Remove(c C) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.conns[c]; !ok {
		return
	}
	if delete(t.conns, c); t.draining.Load() && len(t.conns) == 0 {
		close(t.empty)
	}
}

// Draining reports whether a shutdown began.
func (t *Conns[C]) Draining() bool { return t.draining.Load() }

// Len is how many are open.
func (t *Conns[C]) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.conns)
}

// All are those open now.
func (t *Conns[C]) All() []C {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]C, 0, len(t.conns))
	for c := range t.conns {
		all = append(all, c)
	}
	return all
}

// cutGrace is how long Shutdown waits for connections that it has cut: one that
// takes longer has a fault, and must not hold up the node.
const cutGrace = 5 * time.Second

// Shutdown closes the listeners, has every connection drain, and returns when
// all have ended. When ctx ends first the rest is cut and, after 5 s at most,
// ctx's error returned.
func (t *Conns[C]) Shutdown(ctx context.Context) error {
	t.mu.Lock()
	if !t.draining.Load() && len(t.conns) == 0 {
		close(t.empty)
	}
	t.draining.Store(true)
	for ln := range t.listeners {
		ln.Close()
	}
	t.mu.Unlock()
	for _, c := range t.All() {
		c.Drain()
	}
	select {
	case <-t.empty:
		return nil
	case <-ctx.Done():
	}
	for _, c := range t.All() {
		c.Cut()
	}
	grace := time.NewTimer(cutGrace)
	defer grace.Stop()
	select {
	case <-t.empty:
	case <-grace.C:
	}
	return ctx.Err()
}
