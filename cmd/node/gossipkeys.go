package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"path/filepath"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/internal/durable"
	"rookery/storage/command"
	"rookery/storage/system"
)

// How often the node looks at the ring of gossip keys: while it changes, and
// while it is settled and nothing says that it changed.
const (
	rekeyEvery  = 500 * time.Millisecond
	settleEvery = 10 * time.Second
	// rekeyCalm is for how long a node that has started does not lead a change:
	// it does not know yet who lives.
	rekeyCalm = 5 * time.Second
	// rekeyWait is after which time a change that waits is wrong.
	rekeyWait = time.Minute
)

// gossipSecret is the place that sealed gossip keys are bound to.
const gossipSecret = "gossip_key"

// followGossipKeys keeps gossip on this node at the ring that the system group
// holds. Where this node leads it, it also leads a change from stage to stage,
// and begins one when a node was removed, which knows the key of today.
func (n *Node) followGossipKeys(ctx context.Context) error {
	changed := n.topics.listen(topicPlacement)
	for {
		ring, err := n.takeRing()
		if err == nil {
			err = n.leadRing(ctx, ring)
		}
		if err != nil && ctx.Err() == nil {
			n.deps.Logger.Warn("the gossip keys could not be brought up to date; trying again", "error", err)
		}
		wait := rekeyEvery
		if ring.Stage == command.GossipSettled {
			wait = settleEvery
		}
		select {
		case <-changed:
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// takeRing makes the ring this node's: in its file first, for the next start
// and for who joins here, then in gossip.
func (n *Node) takeRing() (system.GossipRing, error) {
	ring, err := n.groups.system.Gossip()
	if err != nil || ring.Version == n.ring.Load() {
		return ring, err
	}
	var keys [][]byte
	for _, sealed := range ring.Keys {
		k, err := n.sealer.open(gossipSecret, sealed)
		if err != nil {
			return ring, err
		}
		keys = append(keys, []byte(k))
	}
	if err := durable.WriteFile(filepath.Join(n.cfg.DataDir, gossipKey), bytes.Join(keys, nil), 0o600); err != nil {
		return ring, rookery.E("write gossip key", rookery.KindUnavailable, err)
	}
	if g := n.lives.gossip; g != nil {
		if err := g.SetKeys(keys); err != nil {
			return ring, err
		}
	}
	n.ring.Store(ring.Version)
	n.deps.Logger.Info("the gossip keys changed", "version", ring.Version, "stage", ring.Stage)
	return ring, nil
}

// leadRing takes a change on where every node that lives has taken the stage
// before. One that is dead learns the keys of that time from the system group
// when it is back, over TCP.
func (n *Node) leadRing(ctx context.Context, ring system.GossipRing) error {
	if !n.groups.leads(rookery.SystemGroup) || time.Since(n.lives.started) < rekeyCalm {
		return nil
	}
	next := command.SetGossipKeys{Version: ring.Version}
	switch ring.Stage {
	case command.GossipSettled:
		due, err := n.rekeyDue(ring)
		if err != nil || !due {
			return err
		}
		_, err = n.beginRing(ctx)
		return err
	case command.GossipInstall:
		next.Stage, next.Keys = command.GossipUse, []string{ring.Keys[1], ring.Keys[0]}
	case command.GossipUse:
		next.Stage, next.Keys = command.GossipSettled, ring.Keys[:1]
	default:
		return nil // of a newer version
	}
	nodes, err := n.groups.system.Nodes()
	if err != nil {
		return err
	}
	if len(n.behindRing(ring, nodes, n.reportsOf(members(nodes)))) > 0 {
		return nil
	}
	_, err = n.propose(ctx, &next)
	if rookery.Is(err, rookery.KindConflict) {
		return nil // another leader was faster
	}
	return err
}

// behindRing names the nodes that live and have not taken the ring.
func (n *Node) behindRing(ring system.GossipRing, nodes []system.Node, reports map[rookery.NodeID]nodeReport) (names []string) {
	for _, x := range nodes {
		if x.Member() && n.lives.of(x.ID).alive && reports[x.ID].Ring < ring.Version {
			names = append(names, x.Name)
		}
	}
	return names
}

// rekeyDue reports whether a node was removed since the last change began.
func (n *Node) rekeyDue(ring system.GossipRing) (bool, error) {
	nodes, err := n.groups.system.Nodes()
	for _, x := range nodes {
		if !x.Member() && x.Since > ring.Began {
			return true, err
		}
	}
	return false, err
}

// beginRing begins a change of the key, unless one is under way, and gives the
// version at which it is settled.
func (n *Node) beginRing(ctx context.Context) (settled uint64, err error) {
	if err := n.road.Barrier(ctx, rookery.SystemGroup); err != nil {
		return 0, err
	}
	// Who was removed is cut off before anything of the new key is sent.
	if err := n.learnMembers(); err != nil {
		return 0, err
	}
	if self, err := n.groups.system.Node(n.id.Node); err != nil || !self.Member() {
		// It may lead for a moment more, and its followers take what it sends.
		return 0, errors.Join(err, n.removedError("the registry"))
	}
	ring, err := n.groups.system.Gossip()
	if err != nil {
		return 0, err
	}
	switch ring.Stage {
	case command.GossipInstall:
		return ring.Version + 2, nil
	case command.GossipUse:
		return ring.Version + 1, nil
	}
	if ring.Version == 0 {
		keys, err := readGossipKeys(filepath.Join(n.cfg.DataDir, gossipKey))
		if err != nil {
			return 0, err
		}
		ring.Keys = []string{n.sealer.seal(gossipSecret, string(keys[0]))}
	}
	key := make([]byte, gossipKeyLen)
	rand.Read(key)
	_, err = n.propose(ctx, &command.SetGossipKeys{
		Version: ring.Version, Stage: command.GossipInstall, Keys: []string{ring.Keys[0], n.sealer.seal(gossipSecret, string(key))},
	})
	if rookery.Is(err, rookery.KindConflict) {
		return n.beginRing(ctx) // somebody else has begun
	}
	return ring.Version + 3, err
}

func (n *Node) gossipStatus(nodes []system.Node, reports map[rookery.NodeID]nodeReport, problem func(string, ...any)) adminapi.GossipStatus {
	ring, err := n.groups.system.Gossip()
	if err != nil {
		problem("gossip keys: %v", err)
	}
	s := adminapi.GossipStatus{Version: ring.Version, Stage: ring.Stage.String(), Waits: []string{}}
	s.Waits = append(s.Waits, n.behindRing(ring, nodes, reports)...)
	if len(s.Waits) > 0 && n.deps.Clock().Sub(time.Unix(0, ring.Began)) > rekeyWait {
		problem("the change of the gossip key waits for nodes that live and do not take it: %v; look at their logs, or restart them", s.Waits)
	}
	return s
}

func (a *adminServer) postGossip(w http.ResponseWriter, r *http.Request) {
	settled, err := a.rekey(r.Context())
	if err != nil {
		replyError(w, err)
		return
	}
	reply(w, adminapi.Rotation{Settled: settled})
}
