package node

import (
	"cmp"
	"slices"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/peers"
	"rookery/storage/system"
)

// groupsElsewhere are the mail groups without a replica on this node, as the
// placement has them, with the leaders that say so themselves, and a problem for
// each group that has not begun.
func (n *Node) groupsElsewhere(names map[rookery.NodeID]string, reports map[rookery.NodeID]peers.Report, problem func(string, ...any)) (out []adminapi.GroupStatus) {
	placed, err := n.system.Groups()
	if err != nil {
		problem("placement: %v", err)
	}
	for _, p := range placed {
		unbegun(p, names, problem)
		if p.Group == rookery.SystemGroup || p.Void || n.groups.Group(p.Group) != nil {
			continue
		}
		gs := adminapi.GroupStatus{Group: p.Group, Lag: map[string]int64{}, Members: []string{}, Learners: []string{}}
		for _, id := range p.Members {
			gs.Members = append(gs.Members, cmp.Or(names[id], string(id)))
		}
		for id, r := range reports {
			if slices.Contains(r.Leads, p.Group) {
				gs.Leader = cmp.Or(names[id], string(id))
			}
		}
		if gs.Leader == "" && !p.Awaits(p.Founder) {
			problem("group %d has no leader: mail for its accounts waits", p.Group)
		}
		out = append(out, gs)
	}
	return out
}

// unbegun says what is wrong with a group that has not begun, until it has or
// another was added in its place.
func unbegun(p system.GroupPlacement, names map[rookery.NodeID]string, problem func(string, ...any)) {
	name := cmp.Or(names[p.Founder], string(p.Founder))
	switch {
	case p.Awaits(p.Founder):
		problem("group %d has not begun and takes no accounts: it waits for node %s; start that node, or if it is lost for ever, run rookery remove %s and then rookery group add",
			p.Group, name, name)
	case p.Void && p.Instead == 0:
		problem("group %d will never begin: node %s, which alone could begin it, was removed before; nothing is in it, add another in its place: rookery group add", p.Group, name)
	}
}

// void reports whether a group never begins.
func (n *Node) void(id rookery.GroupID) bool {
	p, err := n.system.Group(id)
	return err == nil && p.Void
}
