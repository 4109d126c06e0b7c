package transport

import (
	"context"
	"errors"
	"sync"
	"time"

	"rookery"
)

// peer keeps one connection for calls to another node.
type peer struct {
	node rookery.NodeID

	mu      sync.Mutex
	caller  *caller
	dialing *dialing
	failed  error // of the last dial, until its time
	until   time.Time
	wait    time.Duration
}

// dialing is a dial that callers share.
type dialing struct {
	done   chan struct{}
	caller *caller
	err    error
}

// After a failed dial, calls fail at once for a while that grows.
const (
	dialPauseFirst = 20 * time.Millisecond
	dialPauseMost  = 500 * time.Millisecond
)

func (t *Transport) peer(node rookery.NodeID) *peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[node]
	if p == nil {
		p = &peer{node: node}
		t.peers[node] = p
	}
	return p
}

// connected gives the kept connection, dialing if there is none.
func (p *peer) connected(ctx context.Context, t *Transport) (*caller, error) {
	p.mu.Lock()
	if p.caller != nil && p.caller.usable() {
		defer p.mu.Unlock()
		return p.caller, nil
	}
	p.caller = nil
	if p.dialing == nil && p.failed != nil && time.Now().Before(p.until) {
		defer p.mu.Unlock()
		return nil, p.failed
	}
	d := p.dialing
	if d == nil {
		d = &dialing{done: make(chan struct{})}
		if !t.spawn(func() { p.dial(t, d) }) {
			p.mu.Unlock()
			return nil, rookery.E("connect", rookery.KindUnavailable, ErrClosed)
		}
		p.dialing = d
	}
	p.mu.Unlock()
	select {
	case <-d.done:
		return d.caller, d.err
	case <-ctx.Done():
		return nil, rookery.E("connect", rookery.KindUnavailable, context.Cause(ctx))
	}
}

// dial dials for all who wait; it outlives any one of them.
func (p *peer) dial(t *Transport, d *dialing) {
	c, err := t.dialNode(t.ctx, protoRPC, p.node, nil)
	if err == nil {
		d.caller = newCaller(c)
		if !t.spawn(func() { d.caller.read(t) }) {
			c.cut()
			d.caller, err = nil, rookery.E("connect", rookery.KindUnavailable, ErrClosed)
		}
	}
	d.err = err
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialing, p.caller, p.failed = nil, d.caller, err
	if err == nil {
		p.wait = 0
	} else {
		p.wait = min(max(2*p.wait, dialPauseFirst), dialPauseMost)
		p.until = time.Now().Add(p.wait)
	}
	close(d.done)
}

var errLost = errors.New("the connection was lost")
