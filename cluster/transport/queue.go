package transport

import (
	"errors"
	"net"
	"sync"

	"rookery"
)

// queue holds connections that arrived for one acceptor: a Raft group or
// gossip. It also knows every connection of that acceptor, in both
// directions, because a closed Raft transport leaves them all behind.
type queue struct {
	arrived chan *conn
	closed  chan struct{}

	mu    sync.Mutex
	conns map[*conn]struct{}
	ended bool
}

const queueLength = 16

func newQueue() *queue {
	return &queue{arrived: make(chan *conn, queueLength), closed: make(chan struct{}), conns: map[*conn]struct{}{}}
}

// own takes responsibility for c; false when the queue is closed.
func (q *queue) own(c *conn) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return false
	}
	q.conns[c] = struct{}{}
	open := c.owner.watch(c, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		delete(q.conns, c)
	})
	if !open {
		delete(q.conns, c)
	}
	return open
}

func (q *queue) accept() (net.Conn, error) {
	select {
	case c := <-q.arrived:
		return c, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

func (q *queue) close() {
	q.mu.Lock()
	if q.ended {
		q.mu.Unlock()
		return
	}
	q.ended = true
	close(q.closed)
	conns := q.conns
	q.conns = nil
	q.mu.Unlock()
	for c := range conns {
		c.cut()
	}
}

// deliver welcomes a connection and queues it, or refuses it.
func (t *Transport) deliver(c *conn, q *queue) {
	refuse := func(why byte) {
		c.Write([]byte{why})
		c.Close()
	}
	switch {
	case q == nil || !q.own(c):
		refuse(refuseGroup)
		return
	case len(q.arrived) == cap(q.arrived):
		refuse(refuseBusy)
		return
	}
	// Welcome first: afterwards the connection is its acceptor's to write to.
	if err := t.welcome(c); err != nil {
		c.cut()
		return
	}
	select {
	case q.arrived <- c:
	default:
		c.cut()
	}
}

// queueTaken says that a queue of that name stands already.
func queueTaken(what string) error {
	return rookery.E("serve "+what, rookery.KindExists, errors.New("it is served already"))
}
