package replicas

import (
	"context"
	"errors"
	"time"

	"rookery"
)

// deposedEvery is how often a call under way looks whether its leader still is
// one.
const deposedEvery = 250 * time.Millisecond

var errDeposed = errors.New("another node leads the group now")

// whileLeads is ctx for a call to a leader: it ends once this node knows
// another. A stopped process keeps its connections open and answers nothing,
// so a call to it would wait for the client's whole deadline; the command's id
// makes it safe to send it to the next leader meanwhile.
func (l leader) whileLeads(ctx context.Context, to rookery.NodeID) (context.Context, func()) {
	return watched(ctx, func() bool {
		now, known := l.Leader()
		return !known || now == to
	})
}

func watched(ctx context.Context, still func() bool) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var timer *time.Timer
	armed := make(chan struct{})
	timer = time.AfterFunc(deposedEvery, func() {
		<-armed
		switch {
		case ctx.Err() != nil:
		case still():
			timer.Reset(deposedEvery)
		default:
			cancel(errDeposed)
		}
	})
	close(armed)
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}
