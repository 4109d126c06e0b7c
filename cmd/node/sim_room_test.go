package node

import (
	"testing"
	"time"

	"rookery/cmd/node/members"
)

// A node whose disk falls below its hard limit stops its mail groups, but not
// before what they hold is in the object store; the others serve meanwhile.
// With a little room more than the limit it does not start them yet, with
// enough it does.
func TestSimHardLimitStopsGroups(t *testing.T) {
	const hard = 1 << 30
	bubble(t, func(u *tuning) { u.packAge = time.Minute }, func(c *sim) {
		x := c.nodes[1]
		c.off(x)
		x.cfg.Disk.SoftFree, x.cfg.Disk.HardFree = 2*hard, hard
		c.on(x)
		x.disk.free.Store(1 << 40)
		c.until(time.Minute, "the groups run", func() bool { return x.runs() == members.FirstGroups })
		c.sendFor(3 * time.Second)

		x.disk.free.Store(hard - 1)
		time.Sleep(15 * time.Second)
		if n := x.runs(); n == 0 {
			t.Errorf("%d groups run while bodies of them are not in the object store", n)
		}
		c.until(5*time.Minute, "the groups stop once their bodies are stored", func() bool { return x.runs() == 0 })
		l, stop := c.send(1)
		time.Sleep(5 * time.Second)
		stop()
		l.mustBeTemporary(t)
		if l.acked[c.nodes[0].host] == 0 || l.acked[x.host] != 0 {
			t.Errorf("acknowledged %v", l.acked)
		}
		c.mustCheckOn(c.nodes[0], c.nodes[2])

		x.disk.free.Store(hard + hard/8)
		time.Sleep(30 * time.Second)
		if n := x.runs(); n != 0 {
			t.Errorf("%d groups run on a disk that is just above its limit", n)
		}
		x.disk.free.Store(1 << 40)
		c.until(time.Minute, "the groups run again", func() bool { return x.runs() == members.FirstGroups })
		c.catchesUp(x)
		c.mustCheck()
	})
}
