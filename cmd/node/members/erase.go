package members

import (
	"context"

	"rookery"
)

// eraseLeft erases the groups that have left this node and do not run here.
func (h *Host) eraseLeft(ctx context.Context) error {
	if !h.r.current {
		return nil
	}
	placed, err := h.r.system.Groups()
	if err != nil {
		return err
	}
	for _, p := range placed {
		if p.Group == rookery.SystemGroup || p.Void || !h.left(p) || h.o.Replicas.Group(p.Group) != nil || ctx.Err() != nil {
			continue
		}
		if held, err := h.o.Replicas.Holds(p.Group); err != nil || !held {
			if err != nil {
				return err
			}
			continue
		}
		// Nothing starts it meanwhile: who starts groups is who asks here. Its
		// members without this node are committed, else it had not left.
		if err := h.o.Replicas.Erase(p.Group); err != nil {
			return err
		}
		h.o.Logger.Info("freed what was here of a group that has left this node", "group", p.Group)
	}
	return nil
}
