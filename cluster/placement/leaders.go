package placement

import (
	"cmp"
	"slices"
	"time"

	"rookery"
)

// Leadership is who leads a group.
type Leadership struct {
	Group rookery.GroupID
	// Leader is empty where none is known.
	Leader rookery.NodeID
	Voters []rookery.NodeID
	// Since is when Leader was last seen to change.
	Since time.Time
}

// Handover moves the leadership of one group.
type Handover struct {
	Group    rookery.GroupID
	From, To rookery.NodeID
}

// Leaders is the one transfer that is due, if any: away from a draining or unfit node,
// else towards an even spread, for which every node, up or down, and every
// leader must have stayed as it is for StableFor. Nodes that know the same decide the same, so
// each may compute it and the one that leads acts.
func Leaders(groups []Leadership, nodes []Node, p Policy, now time.Time) (Handover, bool) {
	groups = slices.SortedFunc(slices.Values(groups), func(a, b Leadership) int { return cmp.Compare(a.Group, b.Group) })
	able := map[rookery.NodeID]bool{}
	draining := map[rookery.NodeID]bool{}
	calm := true
	for _, n := range nodes {
		able[n.ID] = n.State == Active && n.Alive && !n.Unfit && now.Sub(n.Since) >= p.CatchUpTime
		draining[n.ID] = n.State == Draining || n.Unfit && n.Alive
		calm = calm && (n.State == Removed || now.Sub(n.Since) >= p.StableFor)
	}
	leads := map[rookery.NodeID]int{}
	for _, g := range groups {
		leads[g.Leader]++
		calm = calm && g.Leader != "" && now.Sub(g.Since) >= p.StableFor
	}
	for _, g := range groups {
		if !draining[g.Leader] {
			continue
		}
		if to := fewest(g, able, leads); to != "" {
			return Handover{g.Group, g.Leader, to}, true
		}
	}
	if !calm {
		return Handover{}, false
	}
	return spread(groups, able, leads)
}

func fewest(g Leadership, able map[rookery.NodeID]bool, leads map[rookery.NodeID]int) (best rookery.NodeID) {
	for _, id := range g.Voters {
		if id == g.Leader || !able[id] {
			continue
		}
		if best == "" || leads[id] < leads[best] || leads[id] == leads[best] && id < best {
			best = id
		}
	}
	return best
}

// spread looks for the shortest chain of transfers from a node to one that
// leads at least two fewer, and gives the chain's last: each then shortens
// it. Chains matter where nodes do not hold all groups.
func spread(groups []Leadership, able map[rookery.NodeID]bool, leads map[rookery.NodeID]int) (best Handover, found bool) {
	var nodes []rookery.NodeID
	for id, ok := range able {
		if ok {
			nodes = append(nodes, id)
		}
	}
	slices.SortFunc(nodes, func(a, b rookery.NodeID) int { // least laden first
		return cmp.Or(cmp.Compare(leads[a], leads[b]), cmp.Compare(a, b))
	})
	shortest, gap := len(nodes), 0
	for _, to := range nodes {
		last, from, length := chain(groups, able, leads, to)
		if from == "" || length > shortest || length == shortest && leads[from]-leads[to] <= gap {
			continue
		}
		best, found, shortest, gap = last, true, length, leads[from]-leads[to]
	}
	return best, found
}

// chain searches breadth first against the direction of transfers for the
// nearest node that leads two more than to.
func chain(groups []Leadership, able map[rookery.NodeID]bool, leads map[rookery.NodeID]int,
	to rookery.NodeID) (last Handover, from rookery.NodeID, length int) {
	lasts := map[rookery.NodeID]Handover{to: {}}
	for level := []rookery.NodeID{to}; len(level) > 0; {
		length++
		var next []rookery.NodeID
		for _, at := range level {
			for _, g := range groups {
				if _, seen := lasts[g.Leader]; seen || !able[g.Leader] || !slices.Contains(g.Voters, at) {
					continue
				}
				lasts[g.Leader] = lasts[at]
				if at == to {
					lasts[g.Leader] = Handover{g.Group, g.Leader, to}
				}
				next = append(next, g.Leader)
			}
		}
		for _, id := range next {
			if leads[id] >= leads[to]+2 && (from == "" || leads[id] > leads[from]) {
				from = id
			}
		}
		if from != "" {
			return lasts[from], from, length
		}
		level = next
	}
	return Handover{}, "", 0
}
