package members

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
func (h *Host) left(p system.GroupPlacement) bool {
	return p.Confirmed > 0 && p.Confirmed == p.Version &&
		!slices.Contains(p.Members, h.o.ID.Node) && !slices.Contains(p.Voters, h.o.ID.Node)
}

// stopLeft stops the groups that have left this node. The placement is read
// behind a barrier: an older one, from before the group was placed here again,
// would take a vote away that counts.
func (h *Host) stopLeft(ctx context.Context) error {
	stop, err := h.leftRunning()
	if err != nil || len(stop) == 0 {
		return err
	}
	if err := h.o.Replicas.Barrier(ctx, rookery.SystemGroup); err != nil {
		return nil // asked again soon; until then nothing is lost by running on
	}
	h.r.current = true
	if stop, err = h.leftRunning(); err != nil {
		return err
	}
	for _, id := range stop {
		if err := h.stopGroup(ctx, id); err != nil {
			return err
		}
		h.o.Logger.Info("stopped a group that has left this node", "group", id)
	}
	return nil
}

func (h *Host) leftRunning() (ids []rookery.GroupID, err error) {
	placed, err := h.r.system.Groups()
	for _, p := range placed {
		// A leader is a member: the placement here is behind.
		if p.Group != rookery.SystemGroup && h.left(p) && h.o.Replicas.Group(p.Group) != nil && !h.o.Replicas.Leads(p.Group) {
			ids = append(ids, p.Group)
		}
	}
	return ids, err
}

// stopGroup ends a group's replica here: commands and sessions look for one
// elsewhere first, then what works on it ends, then Raft.
func (h *Host) stopGroup(ctx context.Context, id rookery.GroupID) error {
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	h.o.Replicas.Hide(id)
	h.w.Packers.RemovePacker(id)
	return h.o.Replicas.Stop(ctx, id)
}
