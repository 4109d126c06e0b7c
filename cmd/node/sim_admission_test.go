package node

import (
	"strings"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/settings"
)

// A node file that was copied and not changed would make two nodes of one
// name, or two at one address: the joiner hears why, and its token stays good.
func TestSimNoTwoNodesOfOneName(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		first := c.nodes[0]
		c.add(3, nil)
		x := c.nodes[3]
		token, addresses, err := first.registry.MintToken(c.t.Context(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		for _, y := range c.nodes {
			applied := time.Now().Add(10 * time.Second)
			for ; y.Node != nil && time.Now().Before(applied); time.Sleep(100 * time.Millisecond) {
				if is, err := y.system.Invitations(); err == nil && len(is) > 0 {
					break
				}
			}
		}
		join := func(change func(*settings.Node)) error {
			cfg := x.cfg
			change(&cfg)
			return x.join(c.t.Context(), cfg, token, addresses)
		}
		for what, change := range map[string]func(*settings.Node){
			"name":    func(cfg *settings.Node) { cfg.Name = c.nodes[1].cfg.Name },
			"address": func(cfg *settings.Node) { cfg.Cluster.Advertise = c.nodes[2].peers.Address() },
		} {
			if err := join(change); !rookery.Is(err, rookery.KindConflict) || !strings.Contains(err.Error(), "node file") {
				t.Errorf("another node's %s: %v", what, err)
			}
		}
		if err := join(func(*settings.Node) {}); err != nil {
			t.Fatalf("the token does not admit any more: %v", err)
		}
		c.on(x)
		// Two may still come by one name: the file is changed later.
		c.off(x)
		x.cfg.Name = c.nodes[1].cfg.Name
		c.on(x)
		c.until(time.Minute, "the status names the twins", func() bool {
			for _, p := range first.monitor.Status().Problems {
				if strings.Contains(p, "are both called "+x.cfg.Name) {
					return true
				}
			}
			return false
		})
	})
}

// Nodes that were admitted and do not run yet say no time. That must not keep
// further ones out: there is no majority of clocks until more have started.
func TestSimTokensAreMintedWhileNodesAreStillToStart(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		first := c.nodes[0]
		for i := 3; i < 7; i++ {
			c.add(i, nil)
			x := c.nodes[i]
			token, addresses, err := first.registry.MintToken(c.t.Context(), time.Hour)
			if err != nil {
				t.Fatalf("with %d nodes that do not run: %v", i-3, err)
			}
			if err := x.join(c.t.Context(), x.cfg, token, addresses); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * peers.ClocksFresh) // what was known of the clocks is looked at anew
		}
	})
}
