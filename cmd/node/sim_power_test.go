package node

import (
	"errors"
	"testing"
	"time"

	"rookery"
)

// The power goes on all machines at once, or on one of them, at any instant of
// the load: what was acknowledged is there on every machine, once.
func TestSimPowerLoss(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		for i := range 3 {
			l, stop := c.send(2)
			time.Sleep(time.Second + time.Duration(c.rng.IntN(2_000_000))*time.Microsecond)
			dead := c.nodes
			if i%2 == 1 {
				dead = c.nodes[c.rng.IntN(3):][:1]
			}
			c.powerCut(dead...)
			stop()
			c.onAll(dead)
			time.Sleep(5 * time.Second)
			l.mustBeTemporary(t)
			c.mustCheck()
		}
	})
}

// The test above notices disks whose fsync does nothing.
func TestSimPowerLossCatchesMissingSync(t *testing.T) {
	bubble(t, func(u *tuning) { u.start, u.quorum = 20*time.Second, 10*time.Second }, func(c *sim) {
		for _, x := range c.nodes {
			x.disk.lies.Store("log state")
		}
		_, stop := c.send(2)
		time.Sleep(3 * time.Second)
		// With luck two machines would keep everything.
		c.powerCutLeaving(func() int { return 0 }, c.nodes...)
		stop()
		err := c.tryOnAll(c.nodes)
		if err == nil {
			time.Sleep(5 * time.Second)
			err = c.check()
		}
		if !errors.Is(err, errBroken) && !rookery.Is(err, rookery.KindDamaged) {
			t.Errorf("fsync was taken out and nothing noticed: %v", err)
		}
		t.Logf("noticed: %.300v", err)
	})
}
