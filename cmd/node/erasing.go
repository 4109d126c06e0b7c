package node

import (
	"context"

	"rookery"
)

// eraseLeft erases the groups that have left this node and do not run here.
func (n *Node) eraseLeft(ctx context.Context) error {
	if !n.current {
		return nil
	}
	placed, err := n.system.Groups()
	if err != nil {
		return err
	}
	for _, p := range placed {
		if p.Group == rookery.SystemGroup || p.Void || !n.left(p) || n.groups.Group(p.Group) != nil || ctx.Err() != nil {
			continue
		}
		if held, err := n.groups.Holds(p.Group); err != nil || !held {
			if err != nil {
				return err
			}
			continue
		}
		// Nothing starts it meanwhile: who starts groups is who asks here. Its
		// members without this node are committed, else it had not left.
		if err := n.groups.Erase(p.Group); err != nil {
			return err
		}
		n.deps.Logger.Info("freed what was here of a group that has left this node", "group", p.Group)
	}
	return nil
}
