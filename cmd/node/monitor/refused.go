package monitor

import (
	"cmp"
	"maps"
	"slices"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/storage/system"
)

// refusedNodes says which nodes the others refused for good, and what is to be
// done with their data directories.
func refusedNodes(nodes []system.Node, reports map[rookery.NodeID]peers.Report, problem func(string, ...any)) {
	older, returned := map[rookery.NodeID]bool{}, map[rookery.NodeID]bool{}
	for _, r := range reports {
		for _, id := range r.Superseded {
			older[id] = true
		}
		for _, id := range r.Returned {
			returned[id] = true
		}
	}
	names := map[rookery.NodeID]string{}
	for _, x := range nodes {
		names[x.ID] = x.Name
		if x.Member() && older[x.ID] {
			problem("node %s was started from an older copy of its data directory, which has forgotten how it voted, and was refused: start "+
				"the newest copy if there is one; else run rookery remove %s, empty the directory, and join it as a new node", x.Name, x.Name)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(returned)) {
		problem("node %s was removed and has tried to come back: empty its data directory, which still holds keys of the cluster, and join it "+
			"as a new node if it is to serve again", cmp.Or(names[id], string(id)))
	}
}
