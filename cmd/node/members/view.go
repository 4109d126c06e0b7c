package members

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rookery"
	"rookery/cluster/consensus"
	"rookery/cluster/placement"
	"rookery/storage/command"
	"rookery/storage/system"
)

// view is what the reconciler sees of the node and does through it.
type view struct{ r *Registry }

// Nodes implements placement.View.
func (v view) Nodes(context.Context) ([]placement.Node, error) {
	nodes, err := v.r.system.Nodes()
	all := system.MemberIDs(nodes)
	wrong, reports := map[rookery.NodeID]time.Duration(nil), v.r.o.Reports.All(all)
	if err == nil {
		wrong = v.r.o.Clocks.Note(reports, len(all))
	}
	out := make([]placement.Node, 0, len(nodes))
	for _, x := range nodes {
		alive := v.r.o.Lives.Alive(x.ID)
		state := placement.NodeState(x.State)
		if r, ok := reports[x.ID]; state == placement.Active && ok && r.Disk != "ok" {
			state = placement.Draining // leaders move away from a full disk
		}
		out = append(out, placement.Node{ID: x.ID, Zone: x.Zone, State: state, Alive: alive, Unfit: wrong[x.ID] != 0})
	}
	return out, err
}

// Placements implements placement.View.
func (v view) Placements(context.Context) ([]placement.Placement, error) {
	groups, err := v.r.system.Groups()
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
func (v view) Leaders(context.Context) (map[rookery.GroupID]rookery.NodeID, error) {
	out := map[rookery.GroupID]rookery.NodeID{}
	for _, id := range append(v.r.o.Replicas.Here(), rookery.SystemGroup) {
		if g := v.r.o.Replicas.Group(id); g != nil {
			if leader, ok := g.Leader(); ok {
				out[id] = leader
			}
		}
	}
	return out, nil
}

// Place implements placement.Registry.
func (v view) Place(ctx context.Context, group rookery.GroupID, members []rookery.NodeID, version uint64) error {
	_, err := v.r.o.Replicas.ProposeSystem(ctx, &command.PlaceGroup{Group: group, Members: members, Version: version})
	return err
}

// Confirm implements placement.Registry.
func (v view) Confirm(ctx context.Context, group rookery.GroupID, version uint64, voters []rookery.NodeID, settled bool) error {
	_, err := v.r.o.Replicas.ProposeSystem(ctx, &command.ConfirmGroup{Group: group, Version: version, Voters: voters, Open: !settled})
	return err
}

// Led implements placement.Groups.
func (v view) Led() []rookery.GroupID {
	var led []rookery.GroupID
	for _, id := range append(v.r.o.Replicas.Here(), rookery.SystemGroup) {
		if v.r.o.Replicas.Leads(id) {
			led = append(led, id)
		}
	}
	return led
}

// State implements placement.Groups.
func (v view) State(_ context.Context, id rookery.GroupID) (placement.State, error) {
	g := v.r.o.Replicas.Group(id)
	if g == nil || !g.IsLeader() {
		return placement.State{}, rookery.E("read group", rookery.KindUnavailable, errors.New("this node does not lead the group"))
	}
	if !g.MembersCommitted() {
		// What is confirmed lets nodes go: it must not be taken back.
		return placement.State{}, rookery.E("read group", rookery.KindUnavailable,
			errors.New("a change of the group's members is not committed yet"))
	}
	s := placement.State{Leader: v.r.o.ID.Node, Last: g.Stats().Last, Progress: map[rookery.NodeID]placement.Progress{}}
	for _, m := range g.Servers() {
		if m.Learner {
			s.Learners = append(s.Learners, m.ID)
		} else {
			s.Voters = append(s.Voters, m.ID)
		}
		if r, ok := v.r.o.Reports.Of(m.ID); ok {
			s.Progress[m.ID] = placement.Progress{Applied: r.Applied[id]}
		}
	}
	return s, nil
}

// Do implements placement.Groups.
func (v view) Do(ctx context.Context, id rookery.GroupID, a placement.Action) error {
	g := v.r.o.Replicas.Group(id)
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
