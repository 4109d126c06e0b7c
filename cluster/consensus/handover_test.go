package consensus

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"rookery"
)

// slowLog takes its time to store entries once it is slow.
type slowLog struct {
	LogStore
	slow *atomic.Bool
}

func (l slowLog) StoreLogs(logs []*raft.Log) error {
	if l.slow.Load() {
		time.Sleep(12 * time.Second)
	}
	return l.LogStore.StoreLogs(logs)
}

// A leader that is closed while its disk is slow leaves nothing behind: Raft
// answers no transfer that is still in its queue when it ends, and the bubble
// fails with who waits for it.
func TestCloseWaitsForTheTransfer(t *testing.T) {
	for _, by := range []string{"close", "order"} {
		t.Run(by, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slow := map[rookery.NodeID]*atomic.Bool{}
				c := newCluster(t, 3, func(o *Options) {
					log, is := o.Log, new(atomic.Bool)
					slow[o.Node] = is
					o.Log = func(id rookery.GroupID) (LogStore, error) {
						l, err := log(id)
						return slowLog{l, is}, err
					}
				})
				lead := c.leader()
				rest := slices.DeleteFunc(slices.Clone(c.nodes), func(n *testNode) bool { return n == lead })
				slow[rookery.NodeID(lead.name)].Store(true)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				go lead.group.Apply(ctx, []byte("a=b"))
				time.Sleep(time.Millisecond) // Raft is storing it
				if by == "order" {
					if err := lead.group.Transfer(ctx, rookery.NodeID(rest[0].name)); !rookery.Is(err, rookery.KindUnavailable) {
						t.Errorf("transfer while the disk is slow: %v", err)
					}
				}
				c.stop(lead)
				c.nodes = rest
				c.close()
			})
		})
	}
}
