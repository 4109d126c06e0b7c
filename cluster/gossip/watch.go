package gossip

import (
	"context"
	"time"
)

// watch asks every member that has been quiet for a probe interval. memberlist
// probes one member an interval and does not say whom it suspects: this is how
// Suspect is known.
func (g *Gossip) watch() {
	tick := time.NewTicker(g.opts.ProbeInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-g.stop:
			return
		}
		now := time.Now()
		for _, q := range g.table.quiet(now.Add(-g.opts.ProbeInterval), now.Add(-g.opts.SuspectAfter)) {
			g.work.Go(func() { g.ask(q) }) // for an interval and a half
		}
	}
}

func (g *Gossip) ask(q question) {
	defer g.table.asked(q.node)
	if _, err := g.list.Ping(string(q.node), packetAddr(q.packets)); err == nil {
		g.table.heard(q.node, false)
		return
	}
	if g.opts.Ask == nil {
		return
	}
	ctx, cancel := context.WithTimeout(g.carrier.ctx, g.opts.ProbeInterval)
	defer cancel()
	if g.opts.Ask(ctx, q.node) == nil {
		g.table.heard(q.node, true)
	}
}

// packetAddr is an address for packets.
type packetAddr string

func (packetAddr) Network() string  { return "udp" }
func (a packetAddr) String() string { return string(a) }
