package replicas

import (
	"context"
	"slices"
	"time"

	"rookery"
	"rookery/cluster/consensus"
	"rookery/cmd/node/peers"
	"rookery/storage/command"
	"rookery/storage/propose"
	"rookery/storage/system"
)

// Propose has a group agree on a command, and gives its result and its place in
// the group's log.
func (r *Replicas) Propose(ctx context.Context, id rookery.GroupID, c command.Command) (command.Result, rookery.LogIndex, error) {
	return propose.Command(ctx, r, id, c)
}

// ProposeSystem has the system group agree on a command.
func (r *Replicas) ProposeSystem(ctx context.Context, c command.Command) (command.Result, error) {
	result, _, err := r.Propose(ctx, rookery.SystemGroup, c)
	return result, err
}

// Commit has a group agree on a command, and returns when the replica here
// shows what it did. Where the group has none here it does not wait.
func (r *Replicas) Commit(ctx context.Context, id rookery.GroupID, c command.Command) error {
	_, index, err := r.Propose(ctx, id, c)
	if err != nil {
		return err
	}
	if id != rookery.SystemGroup && r.Machine(id) == nil {
		return nil
	}
	return r.Wait(ctx, id, index)
}

// Placed are all mail groups of the placement, in order.
func (r *Replicas) Placed() (ids []rookery.GroupID, err error) {
	placed, err := r.system.Groups()
	for _, p := range placed {
		if p.Group != rookery.SystemGroup {
			ids = append(ids, p.Group)
		}
	}
	slices.Sort(ids)
	return ids, err
}

// Members are the nodes of the cluster, in the registry's order.
func (r *Replicas) Members() ([]system.Node, error) {
	nodes, err := r.system.Nodes()
	return slices.DeleteFunc(nodes, func(x system.Node) bool { return !x.Member() }), err
}

// LearnMembers tells peers who the members are by the registry.
func (r *Replicas) LearnMembers() error {
	nodes, err := r.system.Nodes()
	if err != nil || len(nodes) == 0 {
		return err
	}
	members := map[rookery.NodeID]peers.Member{}
	for _, x := range nodes {
		members[x.ID] = peers.Member{Address: x.Address, Key: x.Key, Removed: !x.Member()}
	}
	r.opts.Peers.Learn(members)
	return nil
}

// JobTime is what time the clocks say it is, and no more than a second past the
// time of a mail group that runs here. What an idle group lags behind, the entry
// that each round of the purge commits makes up for.
func (r *Replicas) JobTime(clocks *peers.Clocks, id rookery.GroupID) (time.Time, error) {
	now, err := clocks.Now()
	if err != nil {
		return now, err
	}
	m := r.Machine(id)
	if m == nil {
		return now, NotHere(id)
	}
	if most := time.Unix(0, m.Time()).Add(consensus.MaxAhead); most.Before(now) {
		now = most
	}
	return now, nil
}

// MemberIDs are the ids of the nodes of the cluster.
func (r *Replicas) MemberIDs() ([]rookery.NodeID, error) {
	nodes, err := r.system.Nodes()
	return system.MemberIDs(nodes), err
}
