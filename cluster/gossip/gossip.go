package gossip

import (
	"context"
	"errors"
	"log"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"rookery"
)

// Gossip is this node's part.
type Gossip struct {
	opts    Options
	list    *memberlist.Memberlist
	keyring *memberlist.Keyring
	table   *table
	carrier *carrier
	stop    chan struct{}
	work    sync.WaitGroup

	mu     sync.Mutex // over changes of what this node says
	closed bool
	left   bool
	self   struct {
		sync.Mutex
		member  Member
		leaving bool
	}
}

// reclaimAfter is when a failed node may appear at another address.
const reclaimAfter = 5 * time.Second

// New starts gossip with nobody to talk to: Join is next.
func New(opts Options) (*Gossip, error) {
	const op = "start gossip"
	if err := opts.complete(); err != nil {
		return nil, rookery.E(op, rookery.KindInvalid, err)
	}
	keyring, err := memberlist.NewKeyring(opts.Keys, opts.Keys[0])
	if err != nil {
		return nil, rookery.E(op, rookery.KindInvalid, err)
	}
	g := &Gossip{opts: opts, keyring: keyring, table: newTable(opts), stop: make(chan struct{})}
	g.self.member = opts.Self
	g.carrier = newCarrier(opts)
	if g.list, err = memberlist.Create(g.config()); err != nil {
		g.carrier.Shutdown()
		return nil, rookery.E(op, rookery.KindInvalid, err)
	}
	g.work.Go(g.watch)
	g.work.Go(func() { g.table.report(g.stop) })
	return g, nil
}

func (g *Gossip) config() *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name = string(g.opts.Self.Node)
	c.Label = g.opts.Cluster
	c.Keyring = g.keyring
	c.GossipVerifyIncoming, c.GossipVerifyOutgoing = true, true
	c.EnableCompression = false // messages are small, and nothing inflates
	c.Transport = g.carrier
	c.BindAddr, c.BindPort = g.opts.Advertise.Addr().String(), int(g.opts.Advertise.Port())
	c.ProbeInterval, c.ProbeTimeout = g.opts.ProbeInterval, g.opts.probeTimeout()
	c.TCPTimeout = 5 * time.Second
	c.DeadNodeReclaimTime = reclaimAfter
	c.Delegate, c.Events, c.Alive, c.Ping, c.Conflict = (*speaker)(g), g.table, g.table, g.table, g.table
	c.Logger = log.New(&lineLogger{to: g.opts.Logger}, "", 0)
	return c
}

// Members are those thought alive, without this node, by id.
func (g *Gossip) Members() []Member { return g.table.members() }

// Join talks to nodes at addresses, host:port; one that answers is enough.
// KindUnavailable: none did. It can be called again at any time: after a
// partition it is what brings two halves together.
func (g *Gossip) Join(ctx context.Context, seeds []string) error {
	if len(seeds) == 0 {
		return nil
	}
	done := make(chan error, 1)
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return rookery.E("join gossip", rookery.KindUnavailable, errClosed)
	}
	g.work.Go(func() { // ends with the dial time-outs
		_, err := g.list.Join(seeds)
		done <- err
	})
	g.mu.Unlock()
	select {
	case err := <-done:
		if err != nil {
			return rookery.E("join gossip", rookery.KindUnavailable, err)
		}
		return nil
	case <-ctx.Done():
		return rookery.E("join gossip", rookery.KindUnavailable, context.Cause(ctx))
	}
}

var errClosed = errors.New("gossip is closed on this node")

// SetKeys changes the keys; the first encrypts. To rotate: give every node
// the old and the new key, then the new and the old, then the new alone,
// each step only when all have taken the one before.
func (g *Gossip) SetKeys(keys [][]byte) error {
	const op = "change gossip keys"
	if err := checkKeys(keys); err != nil {
		return rookery.E(op, rookery.KindInvalid, err)
	}
	var errs []error
	for _, k := range keys {
		errs = append(errs, g.keyring.AddKey(slices.Clone(k)))
	}
	errs = append(errs, g.keyring.UseKey(keys[0]))
	for _, old := range g.keyring.GetKeys() {
		if !slices.ContainsFunc(keys, func(k []byte) bool { return slices.Equal(k, old) }) {
			errs = append(errs, g.keyring.RemoveKey(old))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return rookery.E(op, rookery.KindInvalid, err)
	}
	return nil
}

// Leave tells the others that this node goes, so that it is not counted as
// failed. Close follows. KindUnavailable: they may not all have heard.
func (g *Gossip) Leave(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.left {
		return nil
	}
	g.left = true
	timeout := 5 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(deadline), time.Millisecond)
	}
	g.self.Lock()
	g.self.leaving = true
	g.self.Unlock()
	if err := errors.Join(g.list.UpdateNode(timeout/2), g.list.Leave(timeout/2)); err != nil {
		return rookery.E("leave gossip", rookery.KindUnavailable, err)
	}
	return nil
}

// Close stops without a word to the others.
func (g *Gossip) Close() error {
	g.mu.Lock()
	again := g.closed
	g.closed = true
	g.mu.Unlock()
	if again {
		return nil
	}
	close(g.stop)
	err := g.list.Shutdown() // closes the carrier
	g.work.Wait()
	if err != nil {
		return rookery.E("close gossip", 0, err)
	}
	return nil
}

// speaker is what this node says.
type speaker Gossip

// NodeMeta is memberlist's.
func (s *speaker) NodeMeta(int) []byte {
	s.self.Lock()
	defer s.self.Unlock()
	b, err := s.self.member.encode(s.self.leaving)
	if err != nil { // New has tried it
		return nil
	}
	return b
}

// NotifyMsg, GetBroadcasts, LocalState and MergeRemoteState are memberlist's;
// nothing but its own messages is carried.
func (s *speaker) NotifyMsg([]byte)                {}
func (s *speaker) GetBroadcasts(_, _ int) [][]byte { return nil }
func (s *speaker) LocalState(bool) []byte          { return nil }
func (s *speaker) MergeRemoteState([]byte, bool)   {}
