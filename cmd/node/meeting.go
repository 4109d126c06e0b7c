package node

import (
	"context"
	"time"

	"github.com/fxamacker/cbor/v2"

	"rookery"
	"rookery/cmd/node/datadir"
)

// A node whose copy of the registry is older than the admission of another
// refuses that other, and learns of it from the log, which a leader that it
// refuses cannot bring. So it asks the members that it does know.
const (
	callMembers = "members"
	// meetEvery bounds how often strangers make a node ask.
	meetEvery = time.Second
)

// metUnknown is told of a node that was refused for not being known.
func (m *mesh) metUnknown(rookery.NodeID) {
	select {
	case m.unknown <- struct{}{}:
	default:
	}
}

// meet asks for the members, whenever one that is not known was refused.
func (n *Node) meet(ctx context.Context) error {
	for {
		select {
		case <-n.mesh.unknown:
		case <-ctx.Done():
			return nil
		}
		for _, id := range n.mesh.others() {
			asking, cancel := context.WithTimeout(ctx, askWait)
			b, err := n.mesh.Call(asking, id, callMembers, nil)
			cancel()
			var seeds []datadir.Seed
			if err == nil {
				err = cbor.Unmarshal(b, &seeds)
			}
			if err != nil {
				n.deps.Logger.Debug("a member does not say who else is one", "node", id, "error", err)
				continue
			}
			n.mesh.introduce(seeds)
		}
		select {
		case <-time.After(meetEvery):
		case <-ctx.Done():
			return nil
		}
	}
}

// introduce takes in members that are not known yet. What is known stays: the
// registry alone changes it.
func (m *mesh) introduce(seeds []datadir.Seed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range seeds {
		if _, known := m.known[s.Node]; !known && s.Node != m.id.Node {
			m.known[s.Node] = member{address: s.Address, key: s.KeyHash()}
		}
	}
}

// warnOfOwnKey tells an operator why the others refuse this node.
func (n *Node) warnOfOwnKey() {
	nodes, err := n.groups.system.Nodes()
	if err != nil {
		return // said elsewhere
	}
	for _, x := range nodes {
		if x.ID == n.id.Node && x.Key != n.mesh.creds.Current().KeyHash() && len(members(nodes)) > 1 {
			n.deps.Logger.Error("this node's key is not the one it registered with, and the other nodes refuse it: bring identity/node.key and node.pem back from a copy of the directory; if they are lost, run rookery remove for this node elsewhere, and join with an empty data directory")
		}
	}
}

// serveMembers answers a node that asks who the members are.
func (n *Node) serveMembers() {
	n.mesh.Handle(callMembers, func(context.Context, rookery.NodeID, []byte) ([]byte, error) { return cbor.Marshal(n.mesh.seeds()) })
}
