package members

import (
	"context"
	"sync"
	"time"

	"rookery/cluster/placement"
	"rookery/cmd/node/replicas"
)

// reconcileAt is how often the groups are compared with the placement.
const reconcileAt = time.Second

// place brings the groups to where the placement has them.
func (h *Host) place(ctx context.Context) error {
	r := placement.New(placement.Options{
		Node: h.o.ID.Node, View: view{h.r}, Registry: view{h.r}, Groups: view{h.r}, Policy: h.r.Policy, Logger: h.o.Logger,
	})
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { h.o.Replicas.Follow(ctx, time.Hour, r.Wake, replicas.TopicPlacement) })
	return r.Run(ctx, reconcileAt)
}
