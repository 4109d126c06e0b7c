// Package conns keeps count of the connections that a server has open: how many
// there may be, in all and from one address, which listener each came by, and
// when the last is gone.
//
// It owns the limits and the order of a shutdown. It never accepts, reads or
// writes: what is said to a client that is refused, and how a connection ends
// in good order, is its protocol's.
package conns

import (
	"context"
	"net"
	"sync"
)

// Conn is one connection. Its methods may be called at any time, also after its
// end, and do not wait for the client.
type Conn interface {
	comparable
	// Client is the address that counts against the limit for one address.
	Client() string
	// Listener is what the connection came by.
	Listener() net.Listener
	// Drain has it end in good order: at once where it is idle, else after what
	// it is doing.
	Drain()
	// Cut breaks it off.
	Cut()
}

// Table is the open connections of one server. All methods may be called
// concurrently.
type Table[C Conn] struct {
	most, perClient int

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[C]struct{}
	clients   map[string]int
	draining  bool
	empty     chan struct{} // closed when draining and no connection is left
}

// New makes a Table for at most so many connections, in all and from one
// address.
func New[C Conn](most, perClient int) *Table[C] {
	return &Table[C]{
		most: most, perClient: perClient, listeners: make(map[net.Listener]struct{}),
		conns: make(map[C]struct{}), clients: make(map[string]int), empty: make(chan struct{}),
	}
}

// Listen notes a listener, which Shutdown closes. It is false, and ln closed,
// when that came first.
func (t *Table[C]) Listen(ln net.Listener) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.draining {
		ln.Close()
		return false
	}
	t.listeners[ln] = struct{}{}
	return true
}

// Leave forgets a listener.
func (t *Table[C]) Leave(ln net.Listener) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.listeners, ln)
}

// Admit counts a connection in, or says why not, in words that follow the
// server's name.
func (t *Table[C]) Admit(c C) (refusal string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.draining:
		return "is shutting down"
	case len(t.conns) >= t.most:
		return "has too many connections; try again later"
	case t.clients[c.Client()] >= t.perClient:
		return "has too many connections from your address; try again later"
	}
	t.conns[c] = struct{}{}
	t.clients[c.Client()]++
	return ""
}

// Replace puts one connection of a client in the place of another, as when TLS
// begins; false when a shutdown or the end of the first came before.
func (t *Table[C]) Replace(from, to C) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.conns[from]; !ok || t.draining {
		return false
	}
	delete(t.conns, from)
	t.conns[to] = struct{}{}
	return true
}

// Release counts a connection out; once more does nothing.
func (t *Table[C]) Release(c C) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.conns[c]; !ok {
		return
	}
	delete(t.conns, c)
	if t.clients[c.Client()]--; t.clients[c.Client()] <= 0 {
		delete(t.clients, c.Client())
	}
	if t.draining && len(t.conns) == 0 {
		close(t.empty)
	}
}

// Cut breaks off the connections that came by a listener.
func (t *Table[C]) Cut(ln net.Listener) {
	for _, c := range t.All() {
		if c.Listener() == ln {
			c.Cut()
		}
	}
}

// Shutdown closes the listeners, has every connection drain, and returns when
// all are released. When ctx ends first the rest is cut and ctx's error
// returned.
func (t *Table[C]) Shutdown(ctx context.Context) error {
	t.mu.Lock()
	if !t.draining && len(t.conns) == 0 {
		close(t.empty)
	}
	t.draining = true
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
	return ctx.Err()
}

// All are those open now.
func (t *Table[C]) All() []C {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]C, 0, len(t.conns))
	for c := range t.conns {
		all = append(all, c)
	}
	return all
}

// Host is an address without its port.
func Host(a net.Addr) string {
	if host, _, err := net.SplitHostPort(a.String()); err == nil {
		return host
	}
	return a.String()
}
