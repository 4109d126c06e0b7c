package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rookery"
	rlog "rookery/cluster/log"
)

// roomEvery is how often the room on the disk is looked at.
const roomEvery = 250 * time.Millisecond

// roomOn refuses new mail on a disk below its soft limit.
func roomOn(state rlog.DiskState) error {
	if state == rlog.DiskOK {
		return nil
	}
	return rookery.E("accept message", rookery.KindLimit,
		fmt.Errorf("the disk is nearly full (%s limit); free space or raise disk.soft_free", state))
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
