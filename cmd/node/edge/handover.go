package edge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/protocols/proxy"
)

// Bounds on the handing over of sessions.
const (
	// openWait bounds one node's answer to a session: longer than it waits for
	// a leader.
	openWait = 8 * time.Second
	// opening bounds the sessions on their way to other nodes at once.
	opening = 64
	// lostAfter is how long a node may be silent until the sessions it serves
	// are ended here.
	lostAfter = 10 * time.Second
)

// handover carries clients' sessions between nodes. It is proxy.Nodes.
type handover struct {
	edge  *Edge
	slots chan struct{}
	// adopted counts the sessions of other nodes' clients served here.
	adopted atomic.Int64

	mu   sync.Mutex
	open map[*tunnel]struct{}
}

// tunnel is a session of a client here that another node serves.
type tunnel struct {
	net.Conn
	to    rookery.NodeID
	owner *handover
}

// Close ends it.
func (t *tunnel) Close() error {
	t.owner.mu.Lock()
	delete(t.owner.open, t)
	t.owner.mu.Unlock()
	return t.Conn.Close()
}

// CloseWrite tells the other node that the client says no more.
func (t *tunnel) CloseWrite() error {
	c, ok := t.Conn.(interface{ CloseWrite() error })
	if !ok {
		return t.Close()
	}
	return c.CloseWrite()
}

// Here implements proxy.Nodes. A node serves an account while it runs a
// replica with a vote: one that is only on its way in may be far behind. On a
// full disk a replica may run to get rid of what is only there, and be stuck.
func (s *handover) Here(ctx context.Context, id rookery.AccountID) (bool, error) {
	group, err := s.edge.o.Accounts.Group(ctx, id)
	if err != nil {
		return false, err
	}
	p, err := s.edge.o.Replicas.System().Group(group)
	if err != nil {
		return false, rookery.E("find group", rookery.KindUnavailable, err)
	}
	return s.edge.o.Replicas.Machine(group) != nil && p.Votes(s.edge.o.Self) && !s.edge.o.Full(), nil
}

// Open implements proxy.Nodes: it tries the nodes that hold the account's
// group, the live ones first.
func (s *handover) Open(ctx context.Context, p proxy.Session) (net.Conn, string, error) {
	const op = "hand session over"
	group, err := s.edge.o.Accounts.Group(ctx, p.Account)
	if err != nil {
		return nil, "", err
	}
	nodes, err := s.edge.o.Replicas.Nodes(group)
	if err != nil {
		return nil, "", err
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, "", rookery.E(op, rookery.KindUnavailable, context.Cause(ctx))
	}
	errs := []error{fmt.Errorf("no node serves group %d now", group)}
	for _, to := range nodes {
		conn, text, err := s.dial(ctx, to, p)
		switch rookery.KindOf(err) {
		case rookery.KindLimit, rookery.KindDisabled:
			return nil, "", err
		}
		if err == nil {
			return conn, text, nil
		}
		if errs = append(errs, fmt.Errorf("node %s: %w", to, err)); ctx.Err() != nil {
			break
		}
	}
	return nil, "", rookery.E(op, rookery.KindUnavailable, errors.Join(errs...))
}

func (s *handover) dial(ctx context.Context, to rookery.NodeID, p proxy.Session) (net.Conn, string, error) {
	ctx, cancel := context.WithTimeout(ctx, openWait)
	defer cancel()
	c, err := peers.Session.Dial(ctx, s.edge.o.Peers, to, p)
	if err != nil {
		return nil, "", err
	}
	deadline, _ := ctx.Deadline()
	c.SetReadDeadline(deadline)
	text, err := proxy.ReadAnswer(c)
	if err != nil {
		c.Close()
		return nil, "", err
	}
	c.SetReadDeadline(time.Time{})
	t := &tunnel{c, to, s}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[t] = struct{}{}
	return t, text, nil
}

// watch ends the sessions that a node serves which is silent for long: its
// machine may have died without a word.
func (s *handover) watch(ctx context.Context) error {
	silent := map[rookery.NodeID]time.Time{}
	return s.edge.o.Replicas.Follow(ctx, time.Second, func() {
		for _, t := range s.lost(silent, time.Now()) {
			s.edge.o.Logger.Warn("a session is ended: the node that serves it is silent", "node", t.to)
			t.Close()
		}
	})
}

func (s *handover) lost(silent map[rookery.NodeID]time.Time, now time.Time) (lost []*tunnel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t := range s.open {
		if s.edge.o.Alive(t.to) {
			delete(silent, t.to)
		} else if since, known := silent[t.to]; !known {
			silent[t.to] = now
		} else if now.Sub(since) >= lostAfter {
			lost = append(lost, t)
		}
	}
	return lost
}

// serve takes sessions from other nodes.
func (s *handover) serve() {
	peers.Session.Serve(s.edge.o.Peers, func(ctx context.Context, p proxy.Session, err error, conn net.Conn) {
		if err == nil {
			err = s.admit(ctx, p)
		}
		if err == nil {
			if err = s.enter(s.edge.o.Settings.Limits().Connections); err == nil {
				defer s.adopted.Add(-1)
			}
		}
		if err != nil {
			proxy.WriteAnswer(conn, "", rookery.E("adopt session", 0, err))
			return
		}
		c := proxy.NewConn(conn, p)
		switch p.Protocol {
		case proxy.IMAP:
			s.edge.imap.Adopt(ctx, c, p)
		case proxy.POP3:
			s.edge.pop3.Adopt(ctx, c, p)
		default:
			proxy.WriteAnswer(conn, "", rookery.E("adopt session", rookery.KindUnavailable, fmt.Errorf("protocol %q is not served", p.Protocol)))
		}
	})
}

// enter counts a session of another node's client in, of which a node serves as
// many as a listener has connections. KindUnavailable: it has no room for one
// more, but another replica may.
func (s *handover) enter(most int) error {
	if s.adopted.Add(1) > int64(most) {
		s.adopted.Add(-1)
		return rookery.E("adopt session", rookery.KindUnavailable,
			fmt.Errorf("this node serves %d sessions of other nodes' clients already (limits.connections)", most))
	}
	return nil
}

// admit refuses what this node does not serve, and accounts that it knows as
// disabled. Where the directory cannot say, the word of the node that has just
// checked the password stands.
func (s *handover) admit(ctx context.Context, p proxy.Session) error {
	here, err := s.Here(ctx, p.Account)
	if err != nil {
		return err
	}
	if !here {
		return rookery.E("adopt session", rookery.KindUnavailable, errors.New("this node does not serve the account"))
	}
	place, err := s.edge.o.Replicas.System().Account(p.Account)
	if err != nil || p.Address == "" {
		return err
	}
	addr, err := rookery.ParseAddress(p.Address)
	if err != nil {
		return rookery.E("adopt session", rookery.KindInvalid, err)
	}
	entry, err := s.edge.o.Directory.Recipient(ctx, addr)
	if err == nil && entry.Key == place.DirectoryKey && entry.Disabled {
		return rookery.E("adopt session", rookery.KindDisabled, nil)
	}
	return nil
}
