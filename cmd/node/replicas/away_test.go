package replicas

import (
	"slices"
	"testing"

	"rookery"
)

// A replica that answers comes before one that is on its way, a near one before
// a far one, and a near one that is dead last of all.
func TestReplicasByUse(t *testing.T) {
	uses := map[rookery.NodeID]use{
		"near":     {alive: true, settled: true, near: true},
		"far1":     {alive: true, settled: true},
		"far2":     {alive: true, settled: true},
		"joining":  {alive: true, near: true},
		"dead":     {settled: true, near: true},
		"far-dead": {settled: true},
	}
	nodes := []rookery.NodeID{"dead", "far2", "far-dead", "joining", "far1", "near"}
	byUse(nodes, func(x rookery.NodeID) use { return uses[x] })
	if want := []rookery.NodeID{"near", "far2", "far1", "joining", "dead", "far-dead"}; !slices.Equal(nodes, want) {
		t.Errorf("asked in the order %v, want %v", nodes, want)
	}
}
