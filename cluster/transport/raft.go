package transport

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"rookery"
)

// RaftStream is one group's stream layer: what raft.NetworkTransport needs.
// Addresses of Raft servers are node ids, so nodes can move. The type
// parameter is raft.ServerAddress: this package does not import raft.
type RaftStream[Address ~string] struct {
	t     *Transport
	group rookery.GroupID
	queue *queue
}

// OpenRaft opens a group's stream layer. KindExists: it is open.
func OpenRaft[Address ~string](t *Transport, group rookery.GroupID) (*RaftStream[Address], error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing {
		return nil, rookery.E("serve Raft", rookery.KindUnavailable, ErrClosed)
	}
	if t.raft[group] != nil {
		return nil, queueTaken(fmt.Sprintf("group %d", group))
	}
	s := &RaftStream[Address]{t: t, group: group, queue: newQueue()}
	t.raft[group] = s.queue
	return s, nil
}

// Dial connects to the same group on a node.
func (s *RaftStream[Address]) Dial(node Address, timeout time.Duration) (net.Conn, error) {
	ctx := context.Background()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	c, err := s.t.dialNode(ctx, protoRaft, rookery.NodeID(node), binary.BigEndian.AppendUint32(nil, uint32(s.group)))
	if err != nil {
		return nil, err
	}
	if !s.queue.own(c) {
		c.cut()
		return nil, rookery.E("connect", rookery.KindUnavailable, net.ErrClosed)
	}
	return c, nil
}

// Accept waits for a connection to the group.
func (s *RaftStream[Address]) Accept() (net.Conn, error) { return s.queue.accept() }

// Close ends Accept and closes the group's connections, those dialed too.
func (s *RaftStream[Address]) Close() error {
	s.t.mu.Lock()
	if s.t.raft[s.group] == s.queue {
		delete(s.t.raft, s.group)
	}
	s.t.mu.Unlock()
	s.queue.close()
	return nil
}

// Addr is this node's id.
func (s *RaftStream[Address]) Addr() net.Addr { return nodeAddr(s.t.Node()) }

// nodeAddr is a node as a net.Addr.
type nodeAddr rookery.NodeID

func (nodeAddr) Network() string  { return "rookery" }
func (a nodeAddr) String() string { return string(a) }

func (t *Transport) serveRaft(c *conn) {
	var group [4]byte
	if _, err := io.ReadFull(c, group[:]); err != nil {
		c.cut()
		return
	}
	t.mu.Lock()
	q := t.raft[rookery.GroupID(binary.BigEndian.Uint32(group[:]))]
	t.mu.Unlock()
	t.deliver(c, q)
}

// GossipStreams carries the reliable half of gossip.
type GossipStreams struct {
	t     *Transport
	queue *queue
}

// OpenGossip opens the gossip streams. KindExists: they are open.
func (t *Transport) OpenGossip() (*GossipStreams, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing {
		return nil, rookery.E("serve gossip", rookery.KindUnavailable, ErrClosed)
	}
	if t.gossip != nil {
		return nil, queueTaken("gossip")
	}
	t.gossip = newQueue()
	return &GossipStreams{t, t.gossip}, nil
}

func (t *Transport) gossipQueue() *queue {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.gossip
}

// Dial connects to the node at an address; node may be empty for whoever of
// the cluster is there. It is found by its address because gossip is how
// addresses become known.
func (g *GossipStreams) Dial(ctx context.Context, address string, node rookery.NodeID) (net.Conn, error) {
	c, err := g.t.dial(ctx, protoGossip, node, address, nil)
	if err != nil {
		return nil, err
	}
	if !g.queue.own(c) {
		c.cut()
		return nil, rookery.E("connect", rookery.KindUnavailable, net.ErrClosed)
	}
	return c, nil
}

// Accept waits for a stream.
func (g *GossipStreams) Accept() (net.Conn, error) { return g.queue.accept() }

// Close ends Accept and closes all streams.
func (g *GossipStreams) Close() error {
	g.t.mu.Lock()
	if g.t.gossip == g.queue {
		g.t.gossip = nil
	}
	g.t.mu.Unlock()
	g.queue.close()
	return nil
}

func (t *Transport) closeQueues() {
	t.mu.Lock()
	queues := make([]*queue, 0, len(t.raft)+1)
	for _, q := range t.raft {
		queues = append(queues, q)
	}
	if t.gossip != nil {
		queues = append(queues, t.gossip)
	}
	t.mu.Unlock()
	for _, q := range queues {
		q.close()
	}
}
