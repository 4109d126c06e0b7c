package node

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"rookery"
)

// ErrRemoved is in the chain when the node was removed from the cluster, or is
// of a generation that was recovered without it. It never serves again.
var ErrRemoved = errors.New("this node was removed from the cluster")

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

func (n *Node) removedError(by string) error {
	return rookery.E("serve", rookery.KindDenied, fmt.Errorf("%w (node %s, says %s); what it held is on the others: keep %s away from the cluster, or remove it and join as a new node",
		ErrRemoved, n.id.Node, by, n.cfg.DataDir))
}

// removedBy is the transport's: a member refused this node for ever.
func (n *Node) removedBy(by rookery.NodeID) { n.over.end(n.removedError("node " + string(by))) }
