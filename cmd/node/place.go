package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rookery"
	"rookery/cluster/consensus"
	"rookery/cluster/placement"
	"rookery/cmd/node/replicas"
	"rookery/storage/command"
	"rookery/storage/system"
)

// reconcileAt is how often the placement is looked at.
const reconcileAt = time.Second

// place brings the groups to where the placement has them.
func (n *Node) place(ctx context.Context) error {
	r := placement.New(placement.Options{Node: n.id.Node, View: placer{n}, Registry: placer{n}, Groups: placer{n}, Policy: n.policy, Logger: n.deps.Logger})
	n.job("wake of the placement", func(ctx context.Context) error {
		return n.groups.Follow(ctx, time.Hour, r.Wake, replicas.TopicPlacement)
	})
	return r.Run(ctx, reconcileAt)
}

func (n *Node) policy() placement.Policy {
	p := placement.Default()
	if r := n.replication.Load(); r > 0 {
		p.Replication = int(r)
	}
	if d := n.deadAfter.Load(); d > 0 {
		p.DeadAfter = time.Duration(d)
	}
	return p
}

// placer is what the reconciler sees of the node.
type placer struct{ *Node }

// Nodes implements placement.View.
func (p placer) Nodes(context.Context) ([]placement.Node, error) {
	nodes, err := p.system.Nodes()
	all := system.MemberIDs(nodes)
	wrong, reports := map[rookery.NodeID]time.Duration(nil), p.reports.All(all)
	if err == nil {
		wrong = p.clocks.Note(reports, len(all))
	}
	out := make([]placement.Node, 0, len(nodes))
	for _, x := range nodes {
		alive := p.lives.Alive(x.ID)
		state := placement.NodeState(x.State)
		if r, ok := reports[x.ID]; state == placement.Active && ok && r.Disk != "ok" {
			state = placement.Draining // leaders move away from a full disk
		}
		out = append(out, placement.Node{ID: x.ID, Zone: x.Zone, State: state, Alive: alive, Unfit: wrong[x.ID] != 0})
	}
	return out, err
}

// Placements implements placement.View.
func (p placer) Placements(context.Context) ([]placement.Placement, error) {
	groups, err := p.system.Groups()
	out := make([]placement.Placement, 0, len(groups))
	for _, g := range groups {
		if g.Void {
			continue
		}
		out = append(out, placement.Placement{Group: g.Group, Members: g.Members, Version: g.Version, Voters: g.Voters, Confirmed: g.Confirmed})
	}
	return out, err
}

// Leaders implements placement.View.
func (p placer) Leaders(context.Context) (map[rookery.GroupID]rookery.NodeID, error) {
	out := map[rookery.GroupID]rookery.NodeID{}
	for _, id := range append(p.groups.Here(), rookery.SystemGroup) {
		if g := p.groups.Group(id); g != nil {
			if leader, ok := g.Leader(); ok {
				out[id] = leader
			}
		}
	}
	return out, nil
}

// Place implements placement.Registry.
func (p placer) Place(ctx context.Context, group rookery.GroupID, members []rookery.NodeID, version uint64) error {
	_, err := p.groups.ProposeSystem(ctx, &command.PlaceGroup{Group: group, Members: members, Version: version})
	return err
}

// Confirm implements placement.Registry.
func (p placer) Confirm(ctx context.Context, group rookery.GroupID, version uint64, voters []rookery.NodeID, settled bool) error {
	_, err := p.groups.ProposeSystem(ctx, &command.ConfirmGroup{Group: group, Version: version, Voters: voters, Open: !settled})
	return err
}

// Led implements placement.Groups.
func (p placer) Led() []rookery.GroupID {
	var led []rookery.GroupID
	for _, id := range append(p.groups.Here(), rookery.SystemGroup) {
		if p.groups.Leads(id) {
			led = append(led, id)
		}
	}
	return led
}

// State implements placement.Groups.
func (p placer) State(_ context.Context, id rookery.GroupID) (placement.State, error) {
	g := p.groups.Group(id)
	if g == nil || !g.IsLeader() {
		return placement.State{}, rookery.E("read group", rookery.KindUnavailable, errors.New("this node does not lead the group"))
	}
	if !g.MembersCommitted() {
		// What is confirmed lets nodes go: it must not be taken back.
		return placement.State{}, rookery.E("read group", rookery.KindUnavailable, errors.New("a change of the group's members is not committed yet"))
	}
	s := placement.State{Leader: p.id.Node, Last: g.Stats().Last, Progress: map[rookery.NodeID]placement.Progress{}}
	for _, m := range g.Servers() {
		if m.Learner {
			s.Learners = append(s.Learners, m.ID)
		} else {
			s.Voters = append(s.Voters, m.ID)
		}
		if r, ok := p.reports.Of(m.ID); ok {
			s.Progress[m.ID] = placement.Progress{Applied: r.Applied[id]}
		}
	}
	return s, nil
}

// Do implements placement.Groups.
func (p placer) Do(ctx context.Context, id rookery.GroupID, a placement.Action) error {
	g := p.groups.Group(id)
	if g == nil {
		return rookery.E("change group", rookery.KindUnavailable, fmt.Errorf("group %d does not run on this node", id))
	}
	server := consensus.Server{ID: a.Node, Address: string(a.Node)}
	switch a.Kind {
	case placement.AddLearner:
		server.Learner = true
		return g.Add(ctx, server)
	case placement.Promote:
		return g.Add(ctx, server)
	case placement.Remove:
		return g.Remove(ctx, a.Node)
	case placement.Transfer:
		return g.Transfer(ctx, a.Node)
	}
	return nil
}
