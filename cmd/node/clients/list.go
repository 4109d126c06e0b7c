package clients

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/protocols/listen"
)

const (
	// maxListed bounds the sessions that one node lists.
	maxListed = 5000
	// askWait bounds a node's answer.
	askWait = 5 * time.Second
	// byOperator is what clients are told whom an operator sends away.
	byOperator = "The session was ended by an administrator"
)

// OnNode are the sessions of one node.
type OnNode struct {
	Node rookery.NodeID
	Name string
	peers.Sessions
	// Ended counts those that were ended.
	Ended int
	// Err is why the node could not be asked.
	Err error
}

// List lists sessions on all nodes, by the names of nodes and then by login.
func (s *Service) List(ctx context.Context, node string, f peers.SessionFilter) ([]OnNode, error) {
	return s.each(ctx, node, func(ctx context.Context, on *OnNode) {
		on.Sessions, on.Err = peers.ClientSessions.Ask(ctx, s.o.Peers, on.Node, f)
	})
}

// End ends sessions on all nodes.
func (s *Service) End(ctx context.Context, node string, f peers.SessionFilter) ([]OnNode, error) {
	return s.each(ctx, node, func(ctx context.Context, on *OnNode) {
		var n peers.Count
		n, on.Err = peers.EndSessions.Ask(ctx, s.o.Peers, on.Node, f)
		on.Ended = int(n)
	})
}

// each asks all nodes at once, or the one that is named by its name or id.
func (s *Service) each(ctx context.Context, node string, ask func(context.Context, *OnNode)) (all []OnNode, err error) {
	nodes, err := s.system.Nodes()
	if err != nil {
		return nil, err
	}
	for _, x := range nodes {
		if x.Member() && (node == "" || node == x.Name || node == string(x.ID)) {
			all = append(all, OnNode{Node: x.ID, Name: x.Name})
		}
	}
	if len(all) == 0 {
		return nil, rookery.E("ask nodes", rookery.KindNotFound, fmt.Errorf("there is no node %q; see: rookery status", node))
	}
	slices.SortFunc(all, func(a, b OnNode) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Node, b.Node)) })
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { ask(ctx, &all[i]) })
	}
	wg.Wait()
	return all, nil
}

// here are the sessions of this node.
func (s *Service) here(f peers.SessionFilter) (found peers.Sessions) {
	for _, c := range s.o.Edge.Clients() {
		c.Account = s.accountOf(c)
		switch {
		case !f.Takes(c):
		case len(found.Sessions) == maxListed:
			found.More++
		default:
			found.Sessions = append(found.Sessions, c)
		}
	}
	slices.SortFunc(found.Sessions, func(a, b listen.Session) int { return cmp.Or(cmp.Compare(a.Login, b.Login), a.Since.Compare(b.Since)) })
	return found
}

func (s *Service) endHere(f peers.SessionFilter) (ended int) {
	ended = s.o.Edge.EndClients(func(c listen.Session) bool {
		c.Account = s.accountOf(c)
		return f.Takes(c)
	}, byOperator)
	if ended > 0 {
		s.o.Logger.Info("sessions ended by an operator", "sessions", ended, "account", f.Account.String(), "protocol", f.Protocol,
			"session", f.ID)
	}
	return ended
}

// accountOf is a client's account: that of its entry where it has opened none.
func (s *Service) accountOf(c listen.Session) rookery.AccountID {
	if c.Entry == "" || c.Account != (rookery.AccountID{}) {
		return c.Account
	}
	p, err := s.system.ByKey(c.Entry)
	if err != nil {
		return c.Account
	}
	return p.Account
}
