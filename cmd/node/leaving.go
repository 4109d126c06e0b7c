package node

import (
	"context"
	"slices"
	"time"

	"rookery"
	"rookery/storage/system"
)

// stopWithin bounds the wait for commands under way when a group is stopped.
const stopWithin = 10 * time.Second

// left reports whether a group has left this node for good: Raft's members
// were confirmed as the placement wants them, and this node is none of them.
func (n *Node) left(p system.GroupPlacement) bool {
	return p.Confirmed > 0 && p.Confirmed == p.Version &&
		!slices.Contains(p.Members, n.id.Node) && !slices.Contains(p.Voters, n.id.Node)
}

// stopLeft stops the groups that have left this node. The placement is read
// behind a barrier: an older one, from before the group was placed here again,
// would take a vote away that counts.
func (n *Node) stopLeft(ctx context.Context) error {
	stop, err := n.leftRunning()
	if err != nil || len(stop) == 0 {
		return err
	}
	if err := n.groups.Barrier(ctx, rookery.SystemGroup); err != nil {
		return nil // asked again soon; until then nothing is lost by running on
	}
	n.current = true
	if stop, err = n.leftRunning(); err != nil {
		return err
	}
	for _, id := range stop {
		if err := n.stopGroup(ctx, id); err != nil {
			return err
		}
		n.deps.Logger.Info("stopped a group that has left this node", "group", id)
	}
	return nil
}

func (n *Node) leftRunning() (ids []rookery.GroupID, err error) {
	placed, err := n.system.Groups()
	for _, p := range placed {
		// A leader is a member: the placement here is behind.
		if p.Group != rookery.SystemGroup && n.left(p) && n.groups.Group(p.Group) != nil && !n.groups.Leads(p.Group) {
			ids = append(ids, p.Group)
		}
	}
	return ids, err
}

// stopGroup ends a group's replica here: commands and sessions look for one
// elsewhere first, then what works on it ends, then Raft.
func (n *Node) stopGroup(ctx context.Context, id rookery.GroupID) error {
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	n.groups.Hide(id)
	n.objects.RemovePacker(id)
	return n.groups.Stop(ctx, id)
}
