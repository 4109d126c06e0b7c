package node

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/fxamacker/cbor/v2"

	"rookery"
	"rookery/cluster/consensus"
	"rookery/cluster/transport"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/settings"
)

// mesh is this node's way to the others: who they are, where they are, and the
// calls that groups and settings make of them.
type mesh struct {
	cfg     settings.Node
	dir     datadir.Dir
	id      datadir.Identity
	logger  *slog.Logger
	network Network
	*transport.Transport
	creds   *transport.Credentials
	address string // where others reach this node
	packets string // where packets of gossip arrive: UDP, the same number

	mu    sync.RWMutex
	known map[rookery.NodeID]member
	// heard is where a member says that it is, which its record may not say
	// yet: a leader must reach it before it can be written.
	heard map[rookery.NodeID]string

	// unknown hears of nodes that were refused because this node does not know
	// them; cap 1.
	unknown chan struct{}
}

// member is a node as the registry or, before there is one, the seeds have it.
type member struct {
	address string
	key     [32]byte // hash of its public key
	removed bool
}

// The calls between nodes.
const (
	callApply     = "apply"
	callReadIndex = "readindex"
	callTerm      = "term"
	callApplied   = "applied"
	callPrompt    = "prompt"
	callRecord    = "record"
	streamImage   = "image"
)

func openMesh(cfg settings.Node, id datadir.Identity, deps Deps, join transport.JoinHandler, removed func(by rookery.NodeID)) (*mesh, error) {
	dir := datadir.Dir(cfg.DataDir)
	ident, err := dir.Certificate(id.Node, deps.Clock(), deps.Logger)
	if err != nil {
		return nil, err
	}
	m := &mesh{cfg: cfg, dir: dir, id: id, logger: deps.Logger, network: deps.Network, known: map[rookery.NodeID]member{}, heard: map[rookery.NodeID]string{}, unknown: make(chan struct{}, 1)}
	seeds, err := dir.Seeds()
	if err != nil {
		return nil, err
	}
	for _, s := range seeds {
		m.known[s.Node] = member{address: s.Address, key: s.KeyHash()}
	}
	m.creds = transport.NewCredentials(ident)
	m.Transport, err = transport.New(transport.Options{
		Credentials: m.creds, Logger: deps.Logger, Clock: deps.Clock, Dial: dialTCP(deps.Network), Join: join,
		Generation: id.Generation, OnRemoved: removed,
		Removed: func(n rookery.NodeID) bool {
			m.mu.RLock()
			defer m.mu.RUnlock()
			return m.known[n].removed
		},
		Member: m.key, OnUnknown: m.metUnknown, Addresses: m.where,
	})
	return m, err
}

// member reports whether a node belongs to the cluster.
func (m *mesh) member(n rookery.NodeID) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	k, ok := m.known[n]
	return ok && !k.removed
}

// key is the hash of a member's public key.
func (m *mesh) key(n rookery.NodeID) (key [32]byte, member bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	k, ok := m.known[n]
	return k.key, ok && !k.removed
}

// where is a member's address now.
func (m *mesh) where(n rookery.NodeID) (string, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	k, ok := m.known[n]
	if at := m.heard[n]; at != "" {
		return at, ok && !k.removed
	}
	return k.address, ok && !k.removed
}

// heardAt notes where a member says that it is. Who answers there still has
// to show its certificate.
func (m *mesh) heardAt(n rookery.NodeID, address string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heard[n] = address
}

// listen begins to answer other nodes.
func (m *mesh) listen(ctx context.Context) error {
	ln, err := m.network.Listen(ctx, "tcp", m.cfg.Cluster.Listen)
	if err != nil {
		return rookery.E("listen", rookery.KindUnavailable, fmt.Errorf("cluster on %s: %w; free the port or change cluster.listen", m.cfg.Cluster.Listen, err))
	}
	m.address, m.packets = m.cfg.AdvertisedOn(ln.Addr()), ln.Addr().String()
	return m.Start(ln)
}

// learn replaces what is known of the members and keeps it for the next start.
func (m *mesh) learn(members map[rookery.NodeID]member) {
	m.mu.Lock()
	gone := []rookery.NodeID{}
	for id, k := range members {
		if k.removed && !m.known[id].removed {
			gone = append(gone, id)
		}
		if m.known[id].address != k.address {
			delete(m.heard, id) // the record is news
		}
		m.known[id] = k
	}
	seeds := make([]datadir.Seed, 0, len(m.known))
	for id, k := range m.known {
		if id != m.id.Node && !k.removed {
			seeds = append(seeds, datadir.Seed{Node: id, Address: k.address, Key: k.key[:]})
		}
	}
	m.mu.Unlock()
	for _, id := range gone {
		m.CutOff(id)
	}
	if err := m.dir.SaveSeeds(seeds); err != nil {
		m.logger.Warn("the addresses of other nodes could not be kept", "error", err)
	}
}

// seeds are the nodes a joiner is told of: all members, this one included.
func (m *mesh) seeds() []datadir.Seed {
	m.mu.RLock()
	defer m.mu.RUnlock()
	own := m.creds.Current().KeyHash()
	seeds := []datadir.Seed{{Node: m.id.Node, Address: m.address, Key: own[:]}}
	for id, k := range m.known {
		if id != m.id.Node && !k.removed {
			seeds = append(seeds, datadir.Seed{Node: id, Address: k.address, Key: k.key[:]})
		}
	}
	return seeds
}

// others are the members besides this node. Those without a replica of a group
// say so when asked for it.
func (m *mesh) others() (ids []rookery.NodeID) {
	for _, s := range m.seeds() {
		if s.Node != m.id.Node {
			ids = append(ids, s.Node)
		}
	}
	return ids
}

// groupCall is the request of every call about a group.
type groupCall struct {
	Group rookery.GroupID  `cbor:"1,keyasint"`
	Index rookery.LogIndex `cbor:"2,keyasint,omitempty"`
	Term  uint64           `cbor:"3,keyasint,omitempty"`
	Data  []byte           `cbor:"4,keyasint,omitempty"`
}

type groupAnswer struct {
	Index rookery.LogIndex `cbor:"1,keyasint,omitempty"`
	Term  uint64           `cbor:"2,keyasint,omitempty"`
	Data  []byte           `cbor:"3,keyasint,omitempty"`
}

func (m *mesh) ask(ctx context.Context, to rookery.NodeID, name string, q groupCall) (a groupAnswer, err error) {
	body, err := cbor.Marshal(q)
	if err != nil {
		return a, rookery.E("call "+name, rookery.KindInvalid, err)
	}
	b, err := m.Call(ctx, to, name, body)
	if err != nil {
		return a, err
	}
	if err := cbor.Unmarshal(b, &a); err != nil {
		// It was answered, and nobody can say what.
		return a, rookery.E("call "+name, rookery.KindUnknown, err)
	}
	return a, nil
}

// serveGroups answers other nodes' calls about the groups here.
func (m *mesh) serveGroups(g *groups) {
	handle := func(name string, fn func(ctx context.Context, from rookery.NodeID, group *consensus.Group, q groupCall) (groupAnswer, error)) {
		m.Handle(name, func(ctx context.Context, from rookery.NodeID, body []byte) ([]byte, error) {
			var q groupCall
			if err := cbor.Unmarshal(body, &q); err != nil {
				return nil, rookery.E(name, rookery.KindInvalid, err)
			}
			group := g.raft.Group(q.Group)
			if group == nil {
				return nil, rookery.E(name, rookery.KindUnavailable, fmt.Errorf("group %d does not run on this node", q.Group))
			}
			a, err := fn(ctx, from, group, q)
			if err != nil {
				return nil, err
			}
			return cbor.Marshal(a)
		})
	}
	handle(callApply, func(ctx context.Context, _ rookery.NodeID, group *consensus.Group, q groupCall) (a groupAnswer, err error) {
		a.Index, a.Data, err = group.Apply(ctx, q.Data)
		return a, err
	})
	handle(callReadIndex, func(ctx context.Context, from rookery.NodeID, group *consensus.Group, q groupCall) (a groupAnswer, err error) {
		if a.Index, err = group.ReadIndex(ctx); err == nil {
			group.Prompt(from, a.Index) // it waits for it
		}
		return a, err
	})
	handle(callPrompt, func(_ context.Context, from rookery.NodeID, group *consensus.Group, q groupCall) (a groupAnswer, err error) {
		group.Prompt(from, q.Index)
		return a, nil
	})
	handle(callTerm, func(_ context.Context, _ rookery.NodeID, _ *consensus.Group, q groupCall) (a groupAnswer, err error) {
		a.Term, err = g.raft.CurrentTerm(q.Group)
		return a, err
	})
	handle(callApplied, func(_ context.Context, _ rookery.NodeID, group *consensus.Group, _ groupCall) (a groupAnswer, err error) {
		a.Index, a.Term = group.Machine().Applied()
		return a, nil
	})
	handle(callRecord, func(_ context.Context, _ rookery.NodeID, _ *consensus.Group, q groupCall) (a groupAnswer, err error) {
		l, err := g.log.Group(q.Group)
		if err == nil {
			a.Data, err = l.Record(q.Index, q.Term)
		}
		return a, err
	})
	m.HandleStream(streamImage, func(_ context.Context, _ rookery.NodeID, header []byte, w io.Writer) error {
		var q groupCall
		if err := cbor.Unmarshal(header, &q); err != nil {
			return rookery.E(streamImage, rookery.KindInvalid, err)
		}
		return g.writeImage(q, w)
	})
}

// CurrentTerm is consensus.Peers'.
func (m *mesh) CurrentTerm(ctx context.Context, s consensus.Server, group rookery.GroupID) (uint64, error) {
	a, err := m.ask(ctx, s.ID, callTerm, groupCall{Group: group})
	return a.Term, err
}

// lead is a lane's group as seen from this node: the replica here, and the
// leader wherever it is.
type lead struct {
	*consensus.Group
	mesh *mesh
}

// leader is the node to send to; "" is this one.
func (l lead) leader() (rookery.NodeID, error) {
	if l.IsLeader() {
		return "", nil
	}
	id, ok := l.Leader()
	if !ok || id == l.mesh.id.Node {
		return "", rookery.E("find leader", rookery.KindUnavailable, fmt.Errorf("group %d has no leader now: a majority of its nodes must live and reach each other; see rookery status", l.ID()))
	}
	return id, nil
}

// Apply goes to the leader.
func (l lead) Apply(ctx context.Context, data []byte) (rookery.LogIndex, []byte, error) {
	to, err := l.leader()
	if err != nil {
		return 0, nil, err
	}
	if to == "" {
		return l.Group.Apply(ctx, data)
	}
	ctx, done := l.whileLeads(ctx, to)
	defer done()
	a, err := l.mesh.ask(ctx, to, callApply, groupCall{Group: l.ID(), Data: data})
	return a.Index, a.Data, err
}

// Barrier asks the leader for its read index and waits for it here.
func (l lead) Barrier(ctx context.Context) error {
	if noBarrier {
		return nil
	}
	to, err := l.leader()
	if err != nil {
		return err
	}
	var index rookery.LogIndex
	if to == "" {
		index, err = l.ReadIndex(ctx)
	} else {
		asking, done := l.whileLeads(ctx, to)
		defer done()
		var a groupAnswer
		a, err = l.mesh.ask(asking, to, callReadIndex, groupCall{Group: l.ID()})
		index = a.Index
	}
	if err != nil {
		return err
	}
	return l.Group.Wait(ctx, index)
}
