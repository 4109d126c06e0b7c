package peers

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"rookery"
	"rookery/cluster/gossip"
	"rookery/cmd/node/datadir"
)

// How often members ask each other whether they live, after which silence one
// counts as dead, and how often those not heard of are looked for.
const (
	probeEvery   = 500 * time.Millisecond
	suspectAfter = 1200 * time.Millisecond
	joinEvery    = 3 * time.Second
)

// packetNetwork is a Network that carries packets too, UDP. Over one that does
// not, nodes notice each other's failures by calls alone.
type packetNetwork interface {
	ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error)
}

// Liveness is what this node knows of the others' lives: a hint, never
// membership. Packets travel on the UDP port of the number of cluster.listen.
type Liveness struct {
	peers   *Peers
	changed func()
	gossip  *gossip.Gossip // nil over a network without packets
	noPort  error          // why no packets are exchanged at all
	started time.Time

	mu   sync.RWMutex
	last map[rookery.NodeID]heard
	// called is when members that gossip does not reach answered a call.
	called map[rookery.NodeID]time.Time
}

// heard is the last that was heard of a member.
type heard struct {
	left bool // on its own, as opposed to having failed
	at   time.Time
}

// OpenLiveness begins to exchange packets with the others, encrypted under the
// first of keys. changed is called when a member's life changes.
func (p *Peers) OpenLiveness(ctx context.Context, keys [][]byte, changed func()) (*Liveness, error) {
	l := &Liveness{peers: p, changed: changed, started: time.Now(), last: map[rookery.NodeID]heard{}, called: map[rookery.NodeID]time.Time{}}
	network, ok := p.opts.Network.(packetNetwork)
	if !ok {
		return l, nil
	}
	packets, err := network.ListenPacket(ctx, "udp", p.packets)
	if err != nil {
		l.noPort = err
		p.logger.Warn("the UDP port for other nodes cannot be opened; failures are noticed over TCP", "address", p.packets, "error", err)
		packets = newDeafPort()
	}
	streams, err := p.transport.OpenGossip()
	if err != nil {
		return nil, errors.Join(err, packets.Close())
	}
	cfg := &p.opts.Config
	l.gossip, err = gossip.New(gossip.Options{
		// Who was left behind by a recovery is another cluster.
		Cluster: strings.TrimSuffix(p.creds.Current().Cluster+"/"+p.opts.ID.Generation, "/"),
		Self:    gossip.Member{Node: p.self, Name: clip(cfg.Name), Address: p.address, Zone: clip(cfg.Cluster.Zone)},
		Keys:    keys, Packets: packets, Streams: streams, Advertise: advertisedPackets(p.address, p.packets),
		Admit: p.Is, Ask: l.ask, Events: l.hear, Logger: p.logger,
		ProbeInterval: probeEvery, SuspectAfter: suspectAfter,
	})
	if err != nil {
		return nil, errors.Join(err, packets.Close(), streams.Close())
	}
	return l, nil
}

// clip keeps what gossip says about a node within its bounds.
func clip(s string) string { return s[:min(len(s), 64)] }

// UseKeys replaces the keys: packets are encrypted under the first, and read
// under all.
func (l *Liveness) UseKeys(keys [][]byte) error {
	if l.gossip == nil {
		return nil
	}
	return l.gossip.SetKeys(keys)
}

// Started is since when this node watches.
func (l *Liveness) Started() time.Time { return l.started }

// NoPackets is why no packets are exchanged, nil where they are.
func (l *Liveness) NoPackets() error { return l.noPort }

// ask is gossip's way where packets are blocked.
func (l *Liveness) ask(ctx context.Context, id rookery.NodeID) error {
	_, err := AskReport.Ask(ctx, l.peers, id, Nothing{})
	return err
}

// hear notes what gossip tells.
func (l *Liveness) hear(e gossip.Event) {
	m := e.Member
	l.mu.Lock()
	l.last[m.Node] = heard{left: e.Kind == gossip.Left, at: m.Heard}
	l.mu.Unlock()
	if e.Kind == gossip.Joined || e.Kind == gossip.Recovered || e.Kind == gossip.Updated {
		l.peers.heardAt(m.Node, m.Address)
	}
	if e.Kind != gossip.Updated {
		l.peers.logger.Info("a node of the cluster "+e.Kind.String(), "node", m.Node, "name", m.Name, "address", m.Address)
	}
	l.changed()
}

// Life is what is known of one member.
type Life struct {
	Alive, Mute, Left bool
	// Since is when a dead member was last heard of; zero: never since this
	// node started.
	Since time.Time
}

// Alive reports whether a node seems to live; this one does.
func (l *Liveness) Alive(id rookery.NodeID) bool { return l.Of(id).Alive }

// Of is what is known of a node.
func (l *Liveness) Of(id rookery.NodeID) Life {
	if id == l.peers.self {
		return Life{Alive: true}
	}
	for _, m := range l.members() {
		if m.Node == id {
			return Life{Alive: !m.Suspect, Mute: m.Mute, Since: m.Heard}
		}
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	last, called := l.last[id], l.called[id]
	if time.Since(called) < suspectAfter {
		return Life{Alive: true, Mute: l.gossip != nil, Since: called}
	}
	if called.After(last.at) {
		return Life{Since: called}
	}
	return Life{Left: last.left, Since: last.at}
}

func (l *Liveness) members() []gossip.Member {
	if l.gossip == nil {
		return nil
	}
	return l.gossip.Members()
}

// missing are the members that gossip does not reach.
func (l *Liveness) missing() (out []datadir.Seed) {
	here := map[rookery.NodeID]bool{l.peers.self: true}
	for _, m := range l.members() {
		here[m.Node] = true
	}
	for _, s := range l.peers.Seeds() {
		if !here[s.Node] {
			out = append(out, s)
		}
	}
	return out
}

// Run calls and joins those members that gossip does not reach, until ctx
// ends: at the start, after a partition, when one comes back elsewhere, and
// where gossip does not work at all.
func (l *Liveness) Run(ctx context.Context) error {
	var joined time.Time
	for {
		missing := l.missing()
		var calls sync.WaitGroup
		for _, s := range missing {
			calls.Go(func() { l.call(ctx, s.Node) })
		}
		if len(missing) > 0 && l.gossip != nil && time.Since(joined) >= joinEvery {
			joined = time.Now()
			l.join(ctx, missing)
		}
		calls.Wait()
		select {
		case <-time.After(probeEvery):
		case <-ctx.Done():
			return nil
		}
	}
}

func (l *Liveness) call(ctx context.Context, id rookery.NodeID) {
	ctx, cancel := context.WithTimeout(ctx, probeEvery)
	defer cancel()
	if l.ask(ctx, id) == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.called[id] = time.Now()
	}
}

func (l *Liveness) join(ctx context.Context, missing []datadir.Seed) {
	var addresses []string
	for _, s := range missing {
		addresses = append(addresses, s.Address)
	}
	ctx, cancel := context.WithTimeout(ctx, probeEvery)
	defer cancel()
	if err := l.gossip.Join(ctx, addresses); err != nil && ctx.Err() == nil {
		l.peers.logger.Debug("members are not reached by gossip", "addresses", addresses, "error", err)
	}
}

// Close tells the others that this node stops, so that it is not suspected.
func (l *Liveness) Close(ctx context.Context) error {
	if l.gossip == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := l.gossip.Leave(ctx); err != nil {
		l.peers.logger.Debug("not all nodes heard that this one stops", "error", err)
	}
	return l.gossip.Close()
}
