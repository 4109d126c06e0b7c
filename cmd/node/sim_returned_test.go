package node

import (
	"context"
	"testing"
	"time"

	"rookery/cmd/node/keyring"
	"rookery/storage/command"
)

// A removed node that is started again is told so, and the others say that its
// directory is to be emptied.
func TestSimRemovedNodeThatComesBackIsSaid(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		n, removed := c.nodes[0], c.nodes[2]
		time.Sleep(2 * keyring.RekeyCalm)
		c.setState(n, removed, command.NodeRemoved)
		<-removed.Ended()
		c.off(removed)
		said := func() bool {
			return n.problemWith("node "+removed.cfg.Name+" was removed and has tried to come back") != ""
		}
		c.until(time.Minute, "the settings key has changed", func() bool { return n.rings.Settings.Keys.Current() > 1 })
		time.Sleep(2 * endsWithin)
		if said() {
			t.Error("it has not come back yet")
		}
		removed.deps.FS = newDisk(removed.mem, 0, nil)
		x, err := Open(context.Background(), removed.cfg, removed.deps)
		if err == nil {
			<-x.Ended()
			closeTest(x)
		}
		c.until(time.Minute, "the status of the others says so", said)
	})
}
