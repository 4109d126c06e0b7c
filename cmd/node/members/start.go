package members

import (
	"context"
	"slices"

	"rookery"
	"rookery/cluster/consensus"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/replicas"
	"rookery/storage/system"
)

// Start starts the groups placed here and waits for those that have
// everything they need to serve.
func (h *Host) Start(ctx context.Context) error {
	h.full.Store(h.noRoom())
	if err := h.startPlaced(ctx); err != nil {
		return err
	}
	if h.full.Load() {
		h.o.Logger.Warn("the disk is below its hard limit: only mail groups with bodies to store run on this node until there is room")
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, h.o.QuorumWait)
	defer cancel()
	for _, id := range h.o.Replicas.Here() {
		if err := h.o.Replicas.Ready(ctx, id); err != nil {
			h.o.Logger.Warn("a group cannot serve yet; its mail is answered as temporary", "group", id, "error", err)
			return nil
		}
	}
	return h.begun()
}

// begun notes that this node holds groups, and ends the time in which it may
// begin them: all have begun. A node whose log and state are missing later must
// not begin them anew, for it has voted before.
func (h *Host) begun() error {
	placed, err := h.r.system.Groups()
	if err != nil || len(placed) == 0 || h.r.id.Held && !h.r.id.Created {
		return err
	}
	h.r.id.Created, h.r.id.Held = false, true
	return h.o.Dir.SaveIdentity(h.r.id)
}

// startPlaced starts the mail groups that are placed on this node, and those
// whose replicas are still here: a group that was moved off while this node was
// down may count its vote until the move is confirmed. A group that this node
// founds is begun here.
func (h *Host) startPlaced(ctx context.Context) error {
	placed, err := h.r.system.Groups()
	if err != nil {
		return err
	}
	for _, p := range placed {
		founds := founds(h.r.id, p)
		if p.Group == rookery.SystemGroup || p.Void || h.full.Load() && !h.drains(p.Group) {
			continue
		}
		if !founds && !slices.Contains(p.Members, h.o.ID.Node) {
			h.startLeaving(ctx, p)
			continue
		}
		var founders []consensus.Server
		if founds {
			founders = []consensus.Server{replicas.Server(h.o.ID.Node)}
		}
		if err := h.o.Replicas.Start(ctx, p.Group, founders); err != nil {
			return err
		}
		h.w.Packers.AddPacker(p.Group)
	}
	return nil
}

// startLeaving starts a group that is not placed here any more and whose
// replica may still count. One that cannot start is no reason to end: it is
// about to leave.
func (h *Host) startLeaving(ctx context.Context, p system.GroupPlacement) {
	if h.r.current && h.left(p) || h.o.Replicas.Group(p.Group) != nil {
		return
	}
	held, err := h.o.Replicas.Holds(p.Group)
	if err == nil && held {
		err = h.o.Replicas.Start(ctx, p.Group, nil)
	}
	if err != nil {
		h.o.Logger.Error("a group that moves away from this node cannot be started", "group", p.Group, "error", err)
	} else if held {
		h.w.Packers.AddPacker(p.Group)
	}
}

// founds reports whether this node, and no other ever, begins a group that
// has not begun (decisions 6 and 11).
func founds(id datadir.Identity, p system.GroupPlacement) bool {
	if p.Founder != "" {
		return p.Awaits(id.Node)
	}
	return id.Created && p.Version == 1 && len(p.Members) == 1 && p.Members[0] == id.Node
}
