package monitor

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
func (p *Parts) groupsElsewhere(names map[rookery.NodeID]string, reports map[rookery.NodeID]peers.Report,
	problem func(string, ...any)) (out []adminapi.GroupStatus) {
	placed, err := p.Replicas.System().Groups()
	if err != nil {
		problem("placement: %v", err)
	}
	for _, x := range placed {
		notBegun(x, names, problem)
		if x.Group == rookery.SystemGroup || x.Void || p.Replicas.Group(x.Group) != nil {
			continue
		}
		gs := adminapi.GroupStatus{Group: x.Group, Lag: map[string]int64{}, Members: []string{}, Learners: []string{}}
		for _, id := range x.Members {
			gs.Members = append(gs.Members, cmp.Or(names[id], string(id)))
		}
		for id, r := range reports {
			if slices.Contains(r.Leads, x.Group) {
				gs.Leader = cmp.Or(names[id], string(id))
			}
		}
		if gs.Leader == "" && !x.Awaits(x.Founder) {
			problem("group %d has no leader: mail for its accounts waits", x.Group)
		}
		out = append(out, gs)
	}
	return out
}

// notBegun says what is wrong with a group that has not begun, until it has or
// another was added in its place.
func notBegun(p system.GroupPlacement, names map[rookery.NodeID]string, problem func(string, ...any)) {
	name := cmp.Or(names[p.Founder], string(p.Founder))
	switch {
	case p.Awaits(p.Founder):
		problem("group %d has not begun and takes no accounts: it waits for node %s; start that node, or if it is lost for ever, run "+
			"rookery remove %s and then rookery group add",
			p.Group, name, name)
	case p.Void && p.Instead == 0:
		problem("group %d will never begin: node %s, which alone could begin it, was removed before; nothing is in it, add another in "+
			"its place: rookery group add", p.Group, name)
	}
}

// void reports whether a group never begins.
func (p *Parts) void(id rookery.GroupID) bool {
	x, err := p.Replicas.System().Group(id)
	return err == nil && x.Void
}
