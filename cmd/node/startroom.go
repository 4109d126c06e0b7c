package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rookery"
	"rookery/cmd/node/diskroom"
)

// How often a start that waits for room tries again, and how often it says so.
const (
	tryStart = 5 * time.Second
	sayStart = time.Minute
)

// awaitRoom lets a start go on where the disk takes what it writes. Else it
// fails, or waits where Deps say so.
func (n *Node) awaitRoom(ctx context.Context) error {
	const op = "open node"
	said := time.Time{}
	for {
		err := diskroom.Probe(n.deps.FS, n.dir.Parts()...)
		if err == nil {
			n.monitor.HoldUp("")
			return nil
		}
		if !diskroom.IsFull(err) {
			return rookery.E(op, rookery.KindUnavailable, fmt.Errorf("the disk cannot be written: %w", err))
		}
		err = rookery.E(op, rookery.KindUnavailable,
			fmt.Errorf("the disk is full: make room, or widen the volume or the quota under %s: %w", n.cfg.DataDir, err))
		if !n.deps.AwaitRoom {
			return err
		}
		if now := time.Now(); now.Sub(said) >= sayStart {
			said = now
			n.deps.Logger.Error("the node waits for room before it starts; the rest of the cluster goes on without it", "error", err)
		}
		n.monitor.HoldUp("the disk is full: waiting for room")
		select {
		case <-time.After(n.deps.tuning.roomAgain()):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}
