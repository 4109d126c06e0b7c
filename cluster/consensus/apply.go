package consensus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rookery"
)

// Apply commits data on a quorum and gives its index and the machine's
// result on this node. data must not be changed before Apply returns, and
// not at all if the error is KindUnknown.
//
// Errors: KindTooLarge above MaxEntry; KindUnavailable: not the leader, no
// quorum, overloaded or a clock ahead, certainly not appended, so it may be
// sent elsewhere; KindUnknown: doubtful, it may be committed later, so it
// may only be repeated under the same id.
func (g *Group) Apply(ctx context.Context, data []byte) (rookery.LogIndex, []byte, error) {
	const op = "apply"
	if len(data) == 0 {
		return 0, nil, rookery.E(op, rookery.KindInvalid, errors.New("the entry is empty"))
	}
	if len(data) > MaxEntry {
		return 0, nil, rookery.E(op, rookery.KindTooLarge, fmt.Errorf("the entry has %d bytes, the limit is %d", len(data), MaxEntry))
	}
	if !g.IsLeader() {
		return 0, nil, rookery.E(op, rookery.KindUnavailable, ErrNotLeader)
	}
	if err := g.checkTime(data); err != nil {
		return 0, nil, err
	}
	if err := g.inFlight.Acquire(ctx, int64(len(data))); err != nil {
		return 0, nil, rookery.E(op, rookery.KindUnavailable, fmt.Errorf("too much is under way: %w", context.Cause(ctx)))
	}
	if g.stopping.Load() {
		g.inFlight.Release(int64(len(data)))
		return 0, nil, rookery.E(op, rookery.KindUnavailable, ErrClosed)
	}
	if ctx.Err() != nil {
		g.inFlight.Release(int64(len(data)))
		return 0, nil, rookery.E(op, rookery.KindUnavailable, context.Cause(ctx))
	}
	// The library's future knows no context: a goroutine waits for it, and
	// the bytes count as under way until it is done.
	done := make(chan outcome, 1)
	go func() {
		defer g.inFlight.Release(int64(len(data)))
		done <- g.commit(ctx, data)
	}()
	select {
	case o := <-done:
		return o.index, o.result, o.err
	case <-ctx.Done():
		return 0, nil, doubtful(op, context.Cause(ctx))
	case <-g.closed:
		return 0, nil, doubtful(op, ErrClosed)
	}
}

type outcome struct {
	index  rookery.LogIndex
	result []byte
	err    error
}

func (g *Group) commit(ctx context.Context, data []byte) outcome {
	timeout := enqueueTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = max(min(timeout, time.Until(deadline)), time.Millisecond)
	}
	future := g.raft.Apply(data, timeout)
	if err := future.Error(); err != nil {
		return outcome{err: applyError(err)}
	}
	result, _ := future.Response().([]byte)
	return outcome{index: rookery.LogIndex(future.Index()), result: result}
}

// checkTime refuses entries that would push group time into the future.
func (g *Group) checkTime(data []byte) error {
	if g.node.EntryTime == nil {
		return nil
	}
	nanos, ok := g.node.EntryTime(data)
	if !ok {
		return nil
	}
	if ahead := nanos - g.node.Clock().UnixNano(); ahead > int64(MaxAhead) {
		return rookery.E("apply", rookery.KindUnavailable, fmt.Errorf(
			"the entry's time is %v ahead of this leader's clock; set the clocks of the nodes", time.Duration(ahead)))
	}
	return nil
}
