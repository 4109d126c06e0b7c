package node

import (
	"context"
	"sync"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/peers"
)

// A node that is stopped while it answers another one has its state until the
// answer is given.
func TestSimStopsWhileItAnswers(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		far, x := c.nodes[0], c.nodes[1]
		n := x.Node
		asked, stopping := make(chan struct{}), make(chan struct{})
		once := sync.OnceFunc(func() { close(asked) })
		peers.AskReport.Serve(n.peers, func(context.Context, rookery.NodeID, peers.Nothing) (r peers.Report, err error) {
			once()
			<-stopping
			_, err = n.system.Nodes()
			return r, err
		})
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := peers.AskReport.Ask(c.t.Context(), far.peers, x.readID(c.t), peers.Nothing{}); err != nil {
				c.t.Errorf("the answer: %v", err)
			}
		})
		<-asked
		wg.Go(func() { c.off(x) })
		time.Sleep(10 * time.Second) // its groups are handed over and stopped
		close(stopping)
		wg.Wait()
	})
}
