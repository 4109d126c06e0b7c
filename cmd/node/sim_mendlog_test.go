package node

import (
	"context"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/peers"
)

// A machine's log is damaged in its midst while it is off. It starts when others
// can say what was there, and not before; then it has all that it acknowledged.
func TestSimDamagedLogIsMendedBeforeTheStart(t *testing.T) {
	tune := func(u *tuning) {
		unpacked(u)
		u.segment, u.trailing, u.snapshots = 8<<20, 8<<20, 10_000 // one segment, of which Raft keeps all
	}
	bubble(t, tune, func(c *sim) {
		c.sendFor(3 * time.Second)
		c.mustCheck()
		hurt := c.nodes[2]
		groups := c.applied(hurt)
		if n := c.garbleLog(hurt, groups); n == 0 {
			c.t.Fatal("no body is garbled")
		}
		c.sendFor(time.Second) // good frames behind the bad ones
		c.off(hurt)
		c.off(c.nodes[0])
		c.off(c.nodes[1])
		if n, err := Open(context.Background(), hurt.cfg, hurt.deps); !rookery.Is(err, rookery.KindUnavailable) {
			c.t.Errorf("alone: %v", err)
			if n != nil {
				closeWithin(n, time.Minute)
			}
		}
		c.on(c.nodes[0])
		c.on(c.nodes[1])
		c.on(hurt)
		c.catchesUp(hurt)
		if n := hurt.groups.Log().Stats().Repaired; n == 0 {
			c.t.Error("nothing was repaired")
		}
		c.sendFor(time.Second)
		c.mustCheck()
		if err := c.ledger.settle(); err != nil {
			c.t.Error(err)
		}
		c.off(hurt)
		c.on(hurt) // whole now
		if n := hurt.groups.Log().Stats().Repaired; n != 0 {
			c.t.Errorf("%d entries were repaired once more", n)
		}
	})
}

// Who lost an entry and its term takes it from a replica that has applied it,
// and from no other: what lies in a log may never be committed.
func TestSimLostEntryComesFromWhoAppliedIt(t *testing.T) {
	bubble(t, unpacked, func(c *sim) {
		c.sendFor(time.Second)
		asks, other := c.nodes[0], c.nodes[1]
		for id := range c.applied(asks) {
			c.until(time.Minute, "the other has all of it", func() bool {
				return c.applied(other)[id] >= c.applied(asks)[id]
			})
			at := c.applied(other)[id]
			if b, err := asks.groups.Record(c.t.Context(), other.id.Node, peers.At{Group: id, Index: at}); err != nil || len(b) == 0 {
				c.t.Errorf("group %d, entry %d, which is applied: %d bytes, %v", id, at, len(b), err)
			}
			if _, err := asks.groups.Record(c.t.Context(), other.id.Node, peers.At{Group: id, Index: at + 1000}); !rookery.Is(err,
				rookery.KindUnavailable) {
				c.t.Errorf("group %d, an entry that is not applied there: %v", id, err)
			}
		}
	})
}
