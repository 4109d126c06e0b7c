package members

import (
	"context"
	"errors"
	"time"

	"rookery"
	rlog "rookery/cluster/log"
	"rookery/cmd/node/replicas"
)

// roomEvery is how often the room on the disk is measured.
const roomEvery = 250 * time.Millisecond

// noRoom reports whether mail groups must not run on this node: the disk is
// below its hard limit, or changes of the state wait for room already. Once so
// it takes a quarter more than the limit to run them again, so that what they
// write at once does not stop them anew.
func (h *Host) noRoom() bool {
	s := h.o.Replicas.Log().Stats()
	if s.Disk == rlog.DiskHard || h.o.Replicas.Full() {
		return true
	}
	hard := h.o.Config.Disk.HardFree
	return h.full.Load() && hard > 0 && s.DiskFree < hard+hard/4
}

// followDisk notes when the mail groups have to stop and may run again, and
// wakes who does it.
func (h *Host) followDisk(ctx context.Context) error {
	return h.o.Replicas.Follow(ctx, roomEvery, func() {
		none := h.noRoom()
		if !h.full.CompareAndSwap(!none, none) {
			return
		}
		s := h.o.Replicas.Log().Stats()
		if none {
			h.o.Logger.Error("the disk is below its hard limit: the mail groups stop on this node until there is room", "free", s.DiskFree)
		} else {
			h.o.Logger.Info("the disk has room again: the mail groups run on this node", "free", s.DiskFree)
		}
		h.o.Replicas.Publish(replicas.TopicPlacement)
	})
}

// drains reports whether a group has to run on a disk below its hard limit: the
// log holds bodies of it that go when they are in the object store, and with
// every node like this nobody else would bring them there. New mail is refused
// long before. Where the state waits for room nothing gets there.
func (h *Host) drains(id rookery.GroupID) bool {
	if h.o.Replicas.Full() {
		return false
	}
	return h.o.Replicas.HoldsBodies(id)
}

// stopFull stops the mail groups of a node whose disk has no room: what they
// would write next could be what does not fit. Others serve them, sessions go
// there. Where the state waits for room already a replica ends only when there
// is some; until then it is out of everybody's way.
func (h *Host) stopFull(ctx context.Context) error {
	if !h.full.Load() {
		return nil
	}
	stop := map[rookery.GroupID]bool{}
	for _, id := range h.o.Replicas.Here() {
		if !h.drains(id) {
			stop[id] = true
		}
	}
	if len(stop) == 0 {
		return nil
	}
	h.w.Sessions.End(stop)
	for id := range stop {
		h.o.Replicas.Hide(id)
	}
	var errs []error
	for id := range stop {
		errs = append(errs, h.stopGroup(ctx, id))
	}
	return errors.Join(errs...)
}
