package node

import (
	"strings"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/settings"
)

// TestSettingsAreTriedFromEveryNode: what one machine cannot use is refused with
// its name and nothing changes, unless it is forced; a node that does not answer
// has no say; a wrong service password costs one sign-in.
func TestSettingsAreTriedFromEveryNode(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		first, third := c.nodes[0], c.nodes[2]
		change := func(force bool, edit func(*settings.Directory)) (uint64, error) {
			set, at, err := first.settings.Read(c.t.Context())
			if err != nil {
				c.t.Fatal(err)
			}
			d := set.Directories["main"]
			edit(&d)
			set.Directories["main"] = d
			return first.settings.Change(c.t.Context(), set, at, force)
		}
		slower := func(timeout string) func(*settings.Directory) {
			return func(d *settings.Directory) { d.Timeout = timeout }
		}
		if _, err := change(false, slower("6s")); err != nil {
			c.t.Fatalf("what every node can use: %v", err)
		}
		c.net.Lose(third.host+":0", simDirectory+":0", true)
		_, before, _ := first.settings.Read(c.t.Context())
		_, err := change(false, slower("7s"))
		if !rookery.Is(err, rookery.KindDenied) || !strings.Contains(err.Error(), "directory main cannot be used from node node3") ||
			!strings.Contains(err.Error(), "-force") {
			c.t.Errorf("what node3 cannot use: %v", err)
		}
		if _, at, _ := first.settings.Read(c.t.Context()); at != before {
			c.t.Errorf("a refused change went from version %d to %d", before, at)
		}
		if _, err := change(true, slower("7s")); err != nil {
			c.t.Errorf("forced: %v", err)
		}
		c.off(third)
		if _, err := change(false, slower("8s")); err != nil {
			c.t.Errorf("node3 is off: %v", err)
		}
		_, err = change(false, func(d *settings.Directory) { d.Password = "wrong" })
		if !rookery.Is(err, rookery.KindDenied) || !strings.Contains(err.Error(), "cannot bind") || strings.Contains(err.Error(), "node2") {
			c.t.Errorf("a wrong password: %v", err)
		}
		time.Sleep(time.Second)
	})
}
