package placement

import (
	"cmp"
	"slices"
	"time"

	"rookery"
)

// Desired is where each group should be. It keeps what is there and moves as
// little as it can: one replacement a group at a time, for a node that is
// removed, away for longer than DeadAfter, or draining, and only where a spare
// node is there to take over; and where all is calm and settled, one replica
// in the whole cluster towards an even spread over zones and nodes.
//
// A group lives on as many nodes as the policy says, or the highest odd number
// there is; on both of two. Members come in the order of their ids.
func Desired(nodes []Node, groups []Placement, p Policy, now time.Time) map[rookery.GroupID][]rookery.NodeID {
	pl := planner{nodes: map[rookery.NodeID]Node{}, load: map[rookery.NodeID]int{}, policy: p, now: now}
	calm := true
	for _, n := range nodes {
		if n.State != Removed {
			pl.nodes[n.ID] = n
			calm = calm && now.Sub(n.Since) >= p.StableFor && (n.Alive || now.Sub(n.Since) >= p.DeadAfter)
		}
	}
	groups = slices.SortedFunc(slices.Values(groups), func(a, b Placement) int { return cmp.Compare(a.Group, b.Group) })
	for _, g := range groups {
		for _, id := range g.Members {
			pl.load[id]++
		}
	}
	want := make(map[rookery.GroupID][]rookery.NodeID, len(groups))
	for _, g := range groups {
		members := pl.group(g)
		calm = calm && g.Settled() && slices.Equal(members, slices.Sorted(slices.Values(g.Members)))
		want[g.Group] = members
	}
	if calm {
		pl.balance(groups, want)
	}
	return want
}

// planner holds what decisions about groups share.
type planner struct {
	nodes  map[rookery.NodeID]Node // members of the cluster
	load   map[rookery.NodeID]int  // groups on them, as planned so far
	policy Policy
	now    time.Time
}

// group plans one group.
func (pl *planner) group(g Placement) []rookery.NodeID {
	var members []rookery.NodeID
	for _, id := range slices.Compact(slices.Sorted(slices.Values(g.Members))) {
		if _, known := pl.nodes[id]; known {
			members = append(members, id)
		} else {
			pl.load[id]--
		}
	}
	eligible := 0
	for id, n := range pl.nodes {
		if n.State == Active || slices.Contains(members, id) {
			eligible++
		}
	}
	size := pl.size(g.Group, eligible)
	before := len(members)
	members = pl.grow(members, size)
	switch {
	case len(members) > size && g.Settled():
		members = pl.drop(members, pl.worst(members))
	case len(members) == before: // one thing at a time
		members = pl.replace(g, members)
	}
	slices.Sort(members)
	return members
}

// size is how many of the eligible nodes shall hold a group.
func (pl *planner) size(group rookery.GroupID, eligible int) int {
	size := pl.policy.size(group)
	if eligible >= size {
		return size
	}
	return max(odd(eligible), min(eligible, 2))
}

// grow adds spares up to size, but only to an odd number of members, or two.
func (pl *planner) grow(members []rookery.NodeID, size int) []rookery.NodeID {
	spares := 0
	for id := range pl.nodes {
		if pl.spare(id, members) {
			spares++
		}
	}
	size = min(size, len(members)+spares)
	if size > 2 {
		size = odd(size)
	}
	for len(members) < size {
		members = pl.add(members, pl.best(members))
	}
	return members
}

// replace swaps one member for a spare if the member is away for long or
// draining. While Raft still follows an earlier change, only a member without
// a vote is swapped: that is the earlier change again, not a second one.
func (pl *planner) replace(g Placement, members []rookery.NodeID) []rookery.NodeID {
	var victim rookery.NodeID
	var worst int
	for _, id := range members {
		n := pl.nodes[id]
		bad := 0
		switch {
		case !n.Alive && pl.now.Sub(n.Since) >= pl.policy.DeadAfter:
			bad = 2
		case n.State == Draining:
			bad = 1
		}
		if bad > worst && (g.Settled() || !slices.Contains(g.Votes(), id)) {
			victim, worst = id, bad
		}
	}
	if victim == "" {
		return members
	}
	rest := without(members, []rookery.NodeID{victim})
	if spare := pl.best(members, victim); spare != "" {
		pl.load[victim]--
		return pl.add(rest, spare)
	}
	return members
}

// spare reports whether a node may get a replica of a group with members.
func (pl *planner) spare(id rookery.NodeID, members []rookery.NodeID) bool {
	n := pl.nodes[id]
	return n.State == Active && n.Alive && !slices.Contains(members, id)
}

// best is the spare for a group whose members but those leaving stay: from a
// zone with the fewest of them, then with the fewest groups; "" if none.
func (pl *planner) best(members []rookery.NodeID, leaving ...rookery.NodeID) (best rookery.NodeID) {
	stay := without(members, leaving)
	for id := range pl.nodes {
		if !pl.spare(id, members) {
			continue
		}
		if best == "" || cmp.Or(cmp.Compare(pl.neighbours(id, stay), pl.neighbours(best, stay)),
			cmp.Compare(pl.load[id], pl.load[best]), cmp.Compare(id, best)) < 0 {
			best = id
		}
	}
	return best
}

// worst is the member a group should lose if it has one too many.
func (pl *planner) worst(members []rookery.NodeID) rookery.NodeID {
	rank := func(id rookery.NodeID) int {
		n := pl.nodes[id]
		switch {
		case !n.Alive:
			return 2
		case n.State == Draining:
			return 1
		}
		return 0
	}
	return slices.MaxFunc(members, func(a, b rookery.NodeID) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(pl.neighbours(a, members), pl.neighbours(b, members)),
			cmp.Compare(pl.load[a], pl.load[b]), cmp.Compare(a, b))
	})
}

// neighbours counts the others in a node's zone.
func (pl *planner) neighbours(id rookery.NodeID, others []rookery.NodeID) (count int) {
	for _, o := range others {
		if o != id && pl.nodes[o].Zone == pl.nodes[id].Zone {
			count++
		}
	}
	return count
}

func (pl *planner) add(members []rookery.NodeID, id rookery.NodeID) []rookery.NodeID {
	pl.load[id]++
	return append(members, id)
}

func (pl *planner) drop(members []rookery.NodeID, id rookery.NodeID) []rookery.NodeID {
	pl.load[id]--
	return without(members, []rookery.NodeID{id})
}

// balance moves the one replica that helps most. A move either lets fewer
// members of a group share a zone, or keeps that and evens out the load; both
// only ever get better, so that moves come to an end.
func (pl *planner) balance(groups []Placement, want map[rookery.GroupID][]rookery.NodeID) {
	type move struct {
		group    rookery.GroupID
		from, to rookery.NodeID
	}
	var best move
	var bestZone, bestLoad int
	for _, g := range groups {
		members := want[g.Group]
		for _, from := range members {
			stay := without(members, []rookery.NodeID{from})
			for to := range pl.nodes {
				if !pl.spare(to, members) {
					continue
				}
				zone := pl.neighbours(to, stay) - pl.neighbours(from, stay)
				load := pl.load[to] + 1 - pl.load[from]
				if zone > 0 || zone == 0 && load >= 0 {
					continue
				}
				m := move{g.Group, from, to}
				if best.from == "" || cmp.Or(cmp.Compare(zone, bestZone), cmp.Compare(load, bestLoad), cmp.Compare(m.group, best.group),
					cmp.Compare(m.from, best.from), cmp.Compare(m.to, best.to)) < 0 {
					best, bestZone, bestLoad = m, zone, load
				}
			}
		}
	}
	if best.from != "" {
		want[best.group] = slices.Sorted(slices.Values(append(without(want[best.group], []rookery.NodeID{best.from}), best.to)))
	}
}
