package node

import (
	"context"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The power goes on a node at several instants of catching up by image: it
// never shows less than all once it is back.
func TestSimPowerLossWhileAnImageIsInstalled(t *testing.T) {
	bubble(t, unpacked, func(c *sim) {
		away := c.nodes[2]
		had := c.applied(away)
		c.off(away)
		c.sendPackedAndNot()
		c.mustCheck()
		c.mustHavePassed(had)
		for at := int64(20); at < 260; at += 40 {
			c.cutWhileStarting(away, at+c.rng.Int64N(40))
		}
		c.on(away)
		c.catchesUp(away)
		c.holdsUnpacked(away, had)
		c.part(away, true)
		c.readsAlone(away)
	})
}

// cutWhileStarting takes the power before one change of the disk after the
// start, or after three seconds.
func (c *sim) cutWhileStarting(x *simNode, at int64) {
	c.t.Helper()
	cut := make(chan struct{})
	var left *vfs.MemFS
	x.disk = newDisk(x.mem, at, func() {
		c.unplug(x)
		left = x.disk.left(survivors(c.rng), c.rng)
		close(cut)
	})
	x.disk.lies.Store("")
	x.deps.FS = x.disk
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	type opened struct {
		node *Node
		err  error
	}
	done := make(chan opened, 1)
	go func() {
		n, err := Open(ctx, x.cfg, x.deps)
		done <- opened{n, err}
	}()
	select {
	case <-cut:
	case <-time.After(3 * time.Second):
		o := <-done
		if o.err != nil {
			c.t.Fatal(o.err)
		}
		x.Node = o.node
		c.t.Logf("the power went after %d changes of the disk", x.disk.changes.Load())
		c.powerCut(x)
		return
	}
	cancel()
	if o := <-done; o.node != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		o.node.Close(ctx) // a ghost
	}
	x.mem = left
	c.plug(x)
	c.t.Logf("the power went before change %d of the disk", at)
}
