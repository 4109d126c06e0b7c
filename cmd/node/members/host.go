package members

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"rookery"
	"rookery/cmd/node/replicas"
	"rookery/storage/command"
)

// Packers pack the bodies of the groups that run here.
type Packers interface {
	AddPacker(rookery.GroupID)
	// RemovePacker ends a group's packer and waits for it.
	RemovePacker(rookery.GroupID)
}

// Sessions are the clients' sessions that this node serves.
type Sessions interface {
	// End ends those of accounts in these groups: their clients connect again,
	// and go on where the group is.
	End(groups map[rookery.GroupID]bool)
}

// Works are what works on the groups here.
type Works struct {
	Packers  Packers
	Sessions Sessions
	// Carries reports whether something on this node still sends a stage.
	Carries func(command.StageID) bool
}

// Host runs on this node the groups that are placed here.
type Host struct {
	r    *Registry
	o    Options
	w    Works
	full atomic.Bool // no mail group runs here until the disk has room
}

// Host makes it, and answers other nodes about stages of this one.
func (r *Registry) Host(w Works) *Host {
	h := &Host{r: r, o: r.o, w: w}
	h.serveStages()
	return h
}

// Full reports whether no mail group is to run here until the disk has room.
func (h *Host) Full() bool { return h.full.Load() }

// Run follows the registry, the placement and the disk, and has the groups led
// here reclaim what nodes have left in them, until ctx ends.
func (h *Host) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, run := range []func(context.Context) error{h.followCluster, h.followDisk, newReclaimer(h).run, h.place} {
		wg.Go(func() {
			if err := run(ctx); err != nil && !errors.Is(err, context.Canceled) {
				h.o.Logger.Error("a background job of the placement ended", "error", err)
			}
		})
	}
	wg.Wait()
	return nil
}

// clusterEvery is how often what failed before is tried again.
const clusterEvery = 10 * time.Second

// followCluster keeps the mesh and the groups of this node up with the
// registry and the placement.
func (h *Host) followCluster(ctx context.Context) error {
	return h.o.Replicas.Follow(ctx, clusterEvery, func() {
		if err := h.r.Enlist(ctx); err != nil && ctx.Err() == nil {
			h.o.Logger.Warn("this node could not be written into the registry yet", "error", err)
		}
		if err := h.o.Replicas.LearnMembers(); err != nil {
			h.o.Logger.Error("the registry of nodes cannot be read", "error", err)
		}
		if err := h.stopFull(ctx); err != nil && ctx.Err() == nil {
			h.o.Logger.Error("a group did not stop in order on a full disk", "error", err)
		}
		if err := h.startPlaced(ctx); err != nil {
			h.o.Logger.Error("a group cannot be started on this node", "error", err)
		}
		if err := h.endSessions(); err != nil {
			h.o.Logger.Error("the placement of groups cannot be read", "error", err)
		}
		if err := h.stopLeft(ctx); err != nil && ctx.Err() == nil {
			h.o.Logger.Error("a group that has left this node did not stop in order", "error", err)
		}
		if err := h.eraseLeft(ctx); err != nil && ctx.Err() == nil {
			h.o.Logger.Error("what is here of a group that has left this node cannot be freed; trying again", "error", err)
		}
	}, replicas.TopicPlacement)
}

// endSessions ends the sessions here whose groups have left this node.
func (h *Host) endSessions() error {
	placed, err := h.r.system.Groups()
	if err != nil {
		return err
	}
	left := map[rookery.GroupID]bool{}
	for _, p := range placed {
		// Also one that never was here: an account may have moved there.
		if p.Group != rookery.SystemGroup && !p.Votes(h.o.ID.Node) {
			left[p.Group] = true
		}
	}
	h.w.Sessions.End(left)
	return nil
}
