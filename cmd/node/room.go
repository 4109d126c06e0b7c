package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rookery"
	rlog "rookery/cluster/log"
	"rookery/cmd/node/replicas"
)

// roomEvery is how often the room on the disk is looked at.
const roomEvery = 250 * time.Millisecond

// noRoom reports whether mail groups must not run on this node: the disk is
// below its hard limit, or changes of the state wait for room already. Once so
// it takes a quarter more than the limit to run them again, so that what they
// write at once does not stop them anew.
func (n *Node) noRoom() bool {
	s := n.groups.Log().Stats()
	if s.Disk == rlog.DiskHard || n.groups.Full() {
		return true
	}
	hard := n.cfg.Disk.HardFree
	return n.full.Load() && hard > 0 && s.DiskFree < hard+hard/4
}

// roomOn refuses new mail on a disk below its soft limit.
func roomOn(state rlog.DiskState) error {
	if state == rlog.DiskOK {
		return nil
	}
	return rookery.E("accept message", rookery.KindLimit, fmt.Errorf("the disk is nearly full (%s limit); free space or raise disk.soft_free", state))
}

// followDisk notes when the mail groups have to stop and may run again, and
// wakes who does it.
func (n *Node) followDisk(ctx context.Context) error {
	return n.groups.Follow(ctx, roomEvery, func() {
		none := n.noRoom()
		if !n.full.CompareAndSwap(!none, none) {
			return
		}
		s := n.groups.Log().Stats()
		if none {
			n.deps.Logger.Error("the disk is below its hard limit: the mail groups stop on this node until there is room", "free", s.DiskFree)
		} else {
			n.deps.Logger.Info("the disk has room again: the mail groups run on this node", "free", s.DiskFree)
		}
		n.groups.Publish(replicas.TopicPlacement)
	})
}

// drains reports whether a group has to run on a disk below its hard limit: the
// log holds bodies of it that go when they are in the object store, and with
// every node like this nobody else would bring them there. New mail is refused
// long before. Where the state waits for room nothing gets there.
func (n *Node) drains(id rookery.GroupID) bool {
	if n.groups.Full() {
		return false
	}
	return n.groups.HoldsBodies(id)
}

// stopFull stops the mail groups of a node whose disk has no room: what they
// would write next could be what does not fit. Others serve them, sessions go
// there. Where the state waits for room already a replica ends only when there
// is some; until then it is out of everybody's way.
func (n *Node) stopFull(ctx context.Context) error {
	if !n.full.Load() {
		return nil
	}
	stop := map[rookery.GroupID]bool{}
	for _, id := range n.groups.Here() {
		if !n.drains(id) {
			stop[id] = true
		}
	}
	if len(stop) == 0 {
		return nil
	}
	n.onward.end(stop)
	for id := range stop {
		n.groups.Hide(id)
	}
	var errs []error
	for id := range stop {
		errs = append(errs, n.stopGroup(ctx, id))
	}
	return errors.Join(errs...)
}

// errDiskFull is in the chain where a close gave up on a full disk.
var errDiskFull = errors.New("the disk is full: ended as by a power cut; the log has what was acknowledged")

// unlessFull runs a part of a close. Where that waits for room on the disk
// beyond ctx it is left behind: the process ends, and the next start does what
// every start after a crash does.
func (n *Node) unlessFull(ctx context.Context, part func() error) error {
	done := make(chan error, 1)
	go func() { done <- part() }() // ends with the process at the latest
	tick := time.NewTicker(roomEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			if ctx.Err() != nil && n.groups != nil && n.groups.Full() {
				return rookery.E("close node", rookery.KindUnavailable, errDiskFull)
			}
		}
	}
}
