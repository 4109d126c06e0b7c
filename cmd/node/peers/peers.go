package peers

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"rookery"
	"rookery/cluster/consensus"
	"rookery/cluster/transport"
	"rookery/cluster/transport/identity"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/settings"
	"rookery/storage/keys"
)

// Network carries the connections between nodes.
type Network interface {
	Listen(ctx context.Context, network, address string) (net.Listener, error)
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}

// Options are what the way to the others is opened with.
type Options struct {
	// Config is the node's file: where it listens and what it is called.
	Config settings.Node
	// ID is who the node is, by its data directory.
	ID      datadir.Identity
	Network Network
	// TenantKeys open the CA's key, with which the node renews its certificate.
	TenantKeys *keys.Keyring
	Logger     *slog.Logger
	Clock      func() time.Time
	// Admit answers nodes that want to join.
	Admit transport.JoinHandler
	// Invited reports whether a token is good as far as this node knows.
	Invited func(identity.Token) bool
	// Removed hears that a member refuses this node for ever.
	Removed func(by rookery.NodeID)
}

// Peers are the other nodes: who they are, where they are, and the connections
// to them.
type Peers struct {
	opts      Options
	dir       datadir.Dir
	self      rookery.NodeID
	logger    *slog.Logger
	transport *transport.Transport
	creds     *identity.Credentials
	address   string // where others reach this node
	packets   string // where packets of gossip arrive: UDP, the same number

	changing sync.Mutex // one change of the credentials at a time

	mu    sync.RWMutex
	known map[rookery.NodeID]Member
	// heard is where a member says that it is, which its record may not say
	// yet: a leader must reach it before it can be written.
	heard map[rookery.NodeID]string

	refused refused
	// unknown hears of nodes that were refused because this node does not know
	// them; cap 1.
	unknown chan struct{}
}

// Member is a node as the registry or, before there is one, the seeds have it.
type Member struct {
	Address string
	Key     [32]byte // hash of its public key
	Removed bool
}

func memberOf(s datadir.Seed) Member { return Member{Address: s.Address, Key: s.KeyHash()} }

// Open reads the node's certificate and where the others were last known to
// be. Others can be called from then on; Listen lets them call.
func Open(o Options) (*Peers, error) {
	p := &Peers{
		opts: o, dir: datadir.Dir(o.Config.DataDir), self: o.ID.Node, logger: o.Logger,
		known: map[rookery.NodeID]Member{}, heard: map[rookery.NodeID]string{}, unknown: make(chan struct{}, 1),
	}
	ident, err := p.dir.Certificate(p.self, o.TenantKeys, o.Clock(), o.Logger)
	if err != nil {
		return nil, err
	}
	seeds, err := p.dir.Seeds()
	if err != nil {
		return nil, err
	}
	for _, s := range seeds {
		p.known[s.Node] = memberOf(s)
	}
	p.creds = identity.NewCredentials(ident)
	p.transport, err = transport.New(transport.Options{
		Credentials: p.creds, Logger: o.Logger, Clock: o.Clock, Join: o.Admit, Invited: o.Invited, Generation: o.ID.Generation,
		OnRemoved: o.Removed, OnReturned: p.refused.cameBack,
		Dial: func(ctx context.Context, address string) (net.Conn, error) {
			return o.Network.Dial(ctx, "tcp", address)
		},
		Removed: p.removed, Member: p.Key, OnUnknown: p.metUnknown, Addresses: p.Where,
	})
	if err != nil {
		return nil, err
	}
	Members.Serve(p, func(context.Context, rookery.NodeID, Nothing) ([]datadir.Seed, error) { return p.Seeds(), nil })
	return p, nil
}

// Listen begins to answer other nodes.
func (p *Peers) Listen(ctx context.Context) error {
	cfg := &p.opts.Config
	ln, err := p.opts.Network.Listen(ctx, "tcp", cfg.Cluster.Listen)
	if err != nil {
		return rookery.E("listen", rookery.KindUnavailable,
			fmt.Errorf("cluster on %s: %w; free the port or change cluster.listen", cfg.Cluster.Listen, err))
	}
	p.address, p.packets = cfg.AdvertisedOn(ln.Addr()), ln.Addr().String()
	return p.transport.Start(ln)
}

// Close ends all connections.
func (p *Peers) Close(ctx context.Context) error { return p.transport.Close(ctx) }

// Address is where others reach this node.
func (p *Peers) Address() string { return p.address }

// Certificate is what this node shows to others now.
func (p *Peers) Certificate() *identity.Identity { return p.creds.Current() }

// OpenRaft is the connections of one Raft group.
func (p *Peers) OpenRaft(id rookery.GroupID) (consensus.Transport, error) {
	s, err := transport.OpenRaft[consensus.Address](p.transport, id)
	if err != nil {
		return nil, err
	}
	return consensus.NewNetworkTransport(id, s, p.logger), nil
}

// CurrentTerm is consensus.Peers'.
func (p *Peers) CurrentTerm(ctx context.Context, s consensus.Server, group rookery.GroupID) (uint64, error) {
	at, err := CurrentTerm.Ask(ctx, p, s.ID, At{Group: group})
	return at.Term, err
}

func (p *Peers) removed(n rookery.NodeID) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.known[n].Removed
}

// Is reports whether a node belongs to the cluster.
func (p *Peers) Is(n rookery.NodeID) bool {
	_, member := p.Key(n)
	return member
}

// Key is the hash of a member's public key.
func (p *Peers) Key(n rookery.NodeID) (key [32]byte, member bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	k, ok := p.known[n]
	return k.Key, ok && !k.Removed
}

// Where is a member's address now.
func (p *Peers) Where(n rookery.NodeID) (address string, member bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	k, ok := p.known[n]
	if at := p.heard[n]; at != "" {
		return at, ok && !k.Removed
	}
	return k.Address, ok && !k.Removed
}

// heardAt notes where a member says that it is. Who answers there still has
// to show its certificate.
func (p *Peers) heardAt(n rookery.NodeID, address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard[n] = address
}
