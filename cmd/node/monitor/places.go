package monitor

import (
	"slices"
	"strings"

	"rookery"
	"rookery/cmd/node/peers"
)

// scattered says where nodes keep objects in directories of their own: what
// one of them packs no other can read, and with the node it is lost.
func scattered(reports map[rookery.NodeID]peers.Report, names map[rookery.NodeID]string, problem func(string, ...any)) {
	at := map[string][]string{}
	for id, r := range reports {
		if r.Place != "" {
			at[r.Place] = append(at[r.Place], names[id])
		}
	}
	if len(at) < 2 {
		return
	}
	var sets []string
	for _, nodes := range at {
		slices.Sort(nodes)
		sets = append(sets, strings.Join(nodes, ", "))
	}
	slices.Sort(sets)
	problem("object store: it is a directory that is not shared (%s): bodies that one node packs no other can read, and with the "+
		"node they are lost. Set store.path to a directory that all nodes share, or use S3", strings.Join(sets, " | "))
}
