package node

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
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
	gossipKeyLen = 32
)

// lives is what this node knows of the others' lives: a hint, never
// membership. Packets travel on the UDP port of the number of cluster.listen.
type lives struct {
	node    *Node
	gossip  *gossip.Gossip // nil over a network without packets
	noPort  error          // why no packets are exchanged at all
	started time.Time

	mu   sync.RWMutex
	last map[rookery.NodeID]life
	// called is when members that gossip does not reach answered a call.
	called map[rookery.NodeID]time.Time
}

// life is the last that was heard of a member.
type life struct {
	address string
	// gone is that it failed or left, as opposed to being suspect.
	gone, left bool
	at         time.Time
}

func openLives(ctx context.Context, n *Node) (*lives, error) {
	l := &lives{node: n, started: time.Now(), last: map[rookery.NodeID]life{}, called: map[rookery.NodeID]time.Time{}}
	network, ok := n.deps.Network.(packetNetwork)
	if !ok {
		return l, nil
	}
	keys, err := gossipKeys(n.settingsRing.ring)
	if err != nil {
		return nil, err
	}
	address := n.mesh.packets
	packets, err := network.ListenPacket(ctx, "udp", address)
	if err != nil {
		l.noPort = err
		n.deps.Logger.Warn("the UDP port for other nodes cannot be opened; failures are noticed over TCP", "address", address, "error", err)
		packets = newDeafPort()
	}
	streams, err := n.mesh.OpenGossip()
	if err != nil {
		return nil, errors.Join(err, packets.Close())
	}
	l.gossip, err = gossip.New(gossip.Options{
		// Who was left behind by a recovery is another cluster.
		Cluster: strings.TrimSuffix(n.mesh.creds.Current().Cluster+"/"+n.id.Generation, "/"),
		Self:    gossip.Member{Node: n.id.Node, Name: clip(n.cfg.Name), Address: n.mesh.address, Zone: clip(n.cfg.Cluster.Zone)},
		Keys:    keys, Packets: packets, Streams: streams, Advertise: advertisedPackets(n.mesh.address, address),
		Admit: n.mesh.member, Ask: l.ask, Events: l.hear, Logger: n.deps.Logger,
		ProbeInterval: probeEvery, SuspectAfter: suspectAfter,
	})
	if err != nil {
		return nil, errors.Join(err, packets.Close(), streams.Close())
	}
	return l, nil
}

// clip keeps what gossip says about a node within its bounds.
func clip(s string) string { return s[:min(len(s), 64)] }

// advertisedPackets is the IP address and port for packets: that of the
// advertised name where it can be found, else that of the socket or of this
// machine.
func advertisedPackets(advertised, listening string) netip.AddrPort {
	host, portText, err := net.SplitHostPort(advertised)
	port, perr := strconv.ParseUint(portText, 10, 16)
	local, lerr := netip.ParseAddrPort(listening)
	if err != nil || perr != nil {
		return local
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return netip.AddrPortFrom(ip, uint16(port))
	}
	if lerr == nil && !local.Addr().IsUnspecified() {
		return netip.AddrPortFrom(local.Addr(), uint16(port))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host); err == nil && len(ips) > 0 {
		for _, ip := range ips {
			if ip.Unmap().Is4() {
				return netip.AddrPortFrom(ip.Unmap(), uint16(port))
			}
		}
		return netip.AddrPortFrom(ips[0], uint16(port))
	}
	return netip.AddrPortFrom(ownAddress(), uint16(port))
}

// ownAddress is an address of this machine, a real one if it has one.
func ownAddress() netip.Addr {
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().IsGlobalUnicast() {
			return p.Addr()
		}
	}
	return netip.MustParseAddr("127.0.0.1")
}

// ask is gossip's way where packets are blocked.
func (l *lives) ask(ctx context.Context, id rookery.NodeID) error {
	_, err := l.node.mesh.Call(ctx, id, callReport, nil)
	return err
}

// hear notes what gossip tells, and has the placement look.
func (l *lives) hear(e gossip.Event) {
	m := e.Member
	l.mu.Lock()
	l.last[m.Node] = life{address: m.Address, gone: e.Kind == gossip.Failed || e.Kind == gossip.Left, left: e.Kind == gossip.Left, at: m.Heard}
	l.mu.Unlock()
	if e.Kind == gossip.Joined || e.Kind == gossip.Recovered || e.Kind == gossip.Updated {
		l.node.mesh.heardAt(m.Node, m.Address)
	}
	if e.Kind != gossip.Updated {
		l.node.deps.Logger.Info("a node of the cluster "+e.Kind.String(), "node", m.Node, "name", m.Name, "address", m.Address)
	}
	l.node.Groups()
}

// aliveness is what is known of one member.
type aliveness struct {
	alive, mute, left bool
	// since is when a dead member was last heard of; zero: never since this
	// node started.
	since time.Time
}

func (l *lives) of(id rookery.NodeID) aliveness {
	if id == l.node.id.Node {
		return aliveness{alive: true}
	}
	for _, m := range l.members() {
		if m.Node == id {
			return aliveness{alive: !m.Suspect, mute: m.Mute, since: m.Heard}
		}
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	last, called := l.last[id], l.called[id]
	if time.Since(called) < suspectAfter {
		return aliveness{alive: true, mute: l.gossip != nil, since: called}
	}
	if called.After(last.at) {
		return aliveness{since: called}
	}
	return aliveness{left: last.left, since: last.at}
}

func (l *lives) members() []gossip.Member {
	if l.gossip == nil {
		return nil
	}
	return l.gossip.Members()
}

// missing are the members that gossip does not reach.
func (l *lives) missing() (out []datadir.Seed) {
	here := map[rookery.NodeID]bool{l.node.id.Node: true}
	for _, m := range l.members() {
		here[m.Node] = true
	}
	for _, s := range l.node.mesh.seeds() {
		if !here[s.Node] {
			out = append(out, s)
		}
	}
	return out
}

// seek calls and joins those members that gossip does not reach, for as long
// as the node runs: at the start, after a partition, when one comes back
// elsewhere, and where gossip does not work at all.
func (l *lives) seek(ctx context.Context) error {
	var joined time.Time
	return l.node.topics.follow(ctx, probeEvery, func() {
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
	})
}

func (l *lives) call(ctx context.Context, id rookery.NodeID) {
	ctx, cancel := context.WithTimeout(ctx, probeEvery)
	defer cancel()
	if l.ask(ctx, id) == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.called[id] = time.Now()
	}
}

func (l *lives) join(ctx context.Context, missing []datadir.Seed) {
	var addresses []string
	for _, s := range missing {
		addresses = append(addresses, s.Address)
	}
	ctx, cancel := context.WithTimeout(ctx, probeEvery)
	defer cancel()
	if err := l.gossip.Join(ctx, addresses); err != nil && ctx.Err() == nil {
		l.node.deps.Logger.Debug("members are not reached by gossip", "addresses", addresses, "error", err)
	}
}

// close tells the others that this node stops, so that it is not suspected.
func (l *lives) close(ctx context.Context) error {
	if l.gossip == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := l.gossip.Leave(ctx); err != nil {
		l.node.deps.Logger.Debug("not all nodes heard that this one stops", "error", err)
	}
	return l.gossip.Close()
}

// deafPort stands in for a UDP port that cannot be opened: nothing arrives
// and nothing is sent.
type deafPort struct {
	closed chan struct{}
	once   sync.Once
}

func newDeafPort() *deafPort { return &deafPort{closed: make(chan struct{})} }

func (p *deafPort) ReadFrom([]byte) (int, net.Addr, error) {
	<-p.closed
	return 0, nil, net.ErrClosed
}

func (p *deafPort) WriteTo([]byte, net.Addr) (int, error) { return 0, io.ErrClosedPipe }

func (p *deafPort) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *deafPort) LocalAddr() net.Addr              { return &net.UDPAddr{} }
func (p *deafPort) SetDeadline(time.Time) error      { return nil }
func (p *deafPort) SetReadDeadline(time.Time) error  { return nil }
func (p *deafPort) SetWriteDeadline(time.Time) error { return nil }
