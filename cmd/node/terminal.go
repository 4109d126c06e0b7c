package node

import (
	"context"
	"sync"

	"rookery/cmd/node/members"

	"rookery"
)

// terminal is the error after which a node cannot go on, once there is one.
type terminal struct {
	ended chan struct{}

	mu  sync.Mutex
	err error
}

func newTerminal() *terminal { return &terminal{ended: make(chan struct{})} }

func (t *terminal) end(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = err
		close(t.ended)
	}
}

func (t *terminal) why() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// cancels has cancel called when there is one, until stop.
func (t *terminal) cancels(cancel context.CancelFunc) (stop func()) {
	ctx, done := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-t.ended:
			cancel()
		case <-ctx.Done():
		}
	})
	return func() { done(); wg.Wait() }
}

// Ended is closed when the node cannot go on by itself; Err then says why. The
// caller closes the node.
func (n *Node) Ended() <-chan struct{} { return n.ending.ended }

// Err is why the node ended.
func (n *Node) Err() error { return n.ending.why() }

// removedBy is the transport's: a member refused this node for ever.
func (n *Node) removedBy(by rookery.NodeID) {
	n.ending.end(members.Removed(n.id.Node, n.cfg.DataDir, "node "+string(by)))
}
