package node

import (
	"fmt"
	"slices"
	"time"

	"rookery"
	"rookery/cluster/consensus"
)

// Every report says what time it is on its node; skews tells by that whose clock
// is wrong: by how much a node is ahead of the middle of all, where that is more
// than leaders put up with in a command. Of fewer than three clocks nobody can
// say which one is right.
func skews(offsets map[rookery.NodeID]time.Duration) map[rookery.NodeID]time.Duration {
	if len(offsets) < 3 {
		return nil
	}
	var all []time.Duration
	for _, o := range offsets {
		all = append(all, o)
	}
	slices.Sort(all)
	middle := (all[(len(all)-1)/2] + all[len(all)/2]) / 2
	wrong := map[rookery.NodeID]time.Duration{}
	for id, o := range offsets {
		if d := o - middle; d.Abs() > consensus.MaxAhead {
			wrong[id] = d
		}
	}
	return wrong
}

// wrongClocks are the skews of the nodes that reported.
func wrongClocks(reports map[rookery.NodeID]nodeReport) map[rookery.NodeID]time.Duration {
	offsets := map[rookery.NodeID]time.Duration{}
	for id, r := range reports {
		if r.Clock != 0 { // an older version says nothing
			offsets[id] = r.ahead
		}
	}
	return skews(offsets)
}

// sayClock is for operators.
func sayClock(skew time.Duration) string {
	way := "ahead of"
	if skew < 0 {
		way = "behind"
	}
	return fmt.Sprintf("its clock is %v %s the others': set it, and run an NTP client; until then the node leads nothing, and mail through it may be answered as temporary",
		skew.Abs().Round(100*time.Millisecond), way)
}
