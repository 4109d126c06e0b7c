package node

import (
	"context"
	"sync"

	"rookery/cmd/node/members"

	"rookery"
)

// over is why a node cannot go on, once it is known.
type over struct {
	ended chan struct{}

	mu  sync.Mutex
	err error
}

func (o *over) end(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = err
		close(o.ended)
	}
}

func (o *over) why() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// cancels has cancel called when the node is over, until stop.
func (o *over) cancels(cancel context.CancelFunc) (stop func()) {
	ctx, done := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-o.ended:
			cancel()
		case <-ctx.Done():
		}
	})
	return func() { done(); wg.Wait() }
}

// Ended is closed when the node cannot go on by itself; Err then says why. The
// caller closes the node.
func (n *Node) Ended() <-chan struct{} { return n.over.ended }

// Err is why the node ended.
func (n *Node) Err() error { return n.over.why() }

// removedBy is the transport's: a member refused this node for ever.
func (n *Node) removedBy(by rookery.NodeID) {
	n.over.end(members.Removed(n.id.Node, n.cfg.DataDir, "node "+string(by)))
}
