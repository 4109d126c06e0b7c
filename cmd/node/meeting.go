package node

import "rookery/storage/system"

// warnOfOwnKey tells an operator why the others refuse this node.
func (n *Node) warnOfOwnKey() {
	nodes, err := n.system.Nodes()
	if err != nil {
		return // said elsewhere
	}
	for _, x := range nodes {
		if x.ID == n.id.Node && x.Key != n.peers.Certificate().KeyHash() && len(system.MemberIDs(nodes)) > 1 {
			n.deps.Logger.Error("this node's key is not the one it registered with, and the other nodes refuse it: bring identity/node.key and node.pem back from a copy of the directory; if they are lost, run rookery remove for this node elsewhere, and join with an empty data directory")
		}
	}
}
