package accountmove

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// Bounds of the bodies on their way into one group for one account: the
// pipeline of Raft is kept free for mail.
const (
	atOnce    = 32
	inFlight  = 1 << 20
	smallBody = 16 << 10
)

// bodies brings the contents of messages with their bodies into the copy, a
// few at once. One that was purged meanwhile is left out: a mark says so.
func (c *carriage) bodies(ctx context.Context, x *mailbox.Export, ids []rookery.EmailID) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	budget := semaphore.NewWeighted(inFlight)
	for _, id := range ids {
		content, err := x.Content(id) // the export serves one goroutine
		if err != nil {
			cancel(err)
			break
		}
		weight := min(max(content.Body.Encoded, smallBody), command.MaxChunk)
		slots <- struct{}{}
		if budget.Acquire(ctx, weight) != nil {
			break
		}
		wg.Go(func() {
			defer func() { budget.Release(weight); <-slots }()
			if err := c.body(ctx, id, content); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// body brings one. A body that cannot be read any more because its message was
// purged is none that the copy lacks.
func (c *carriage) body(ctx context.Context, id rookery.EmailID, content mailbox.Content) error {
	cmd := &command.ImportBody{Account: c.Account, Move: c.Move, Turn: c.turn, Email: id, Record: content.Record,
		Size: content.Body.Size, Extract: content.Extract, Layout: content.Body.Layout, Arrived: content.Body.Arrived}
	stage := command.StageID{Node: c.o.Node, Epoch: c.o.Epoch, N: 1<<63 | c.stages.Add(1)} // apart from those of delivery
	if content.Body.Encoded > command.MaxChunk {
		c.carries(stage, true)
		defer c.carries(stage, false)
	}
	var parts uint32
	for off := int64(0); off < content.Body.Encoded; {
		p := make([]byte, min(content.Body.Encoded-off, command.MaxChunk))
		if err := c.o.ReadBody(ctx, c.From, content.Body, p, off); err != nil {
			if c.purged(id) {
				err = nil
			}
			return c.giveUp(ctx, stage, parts, err)
		}
		if off += int64(len(p)); content.Body.Encoded <= command.MaxChunk {
			cmd.Payload = p
			break
		}
		if _, err := c.apply(ctx, c.To, &command.Stage{Stage: stage, Part: parts, Payload: p}); err != nil {
			return c.giveUp(ctx, stage, parts+1, err)
		}
		parts++
	}
	if parts > 0 {
		cmd.Staged = &command.Staged{Stage: stage, Parts: parts}
	}
	_, err := c.apply(ctx, c.To, cmd)
	if err != nil {
		return c.giveUp(ctx, stage, parts, err)
	}
	return nil
}

// purged reports whether the source has let a message's content go.
func (c *carriage) purged(id rookery.EmailID) bool {
	x := c.source.Export(c.Account)
	defer x.Close()
	_, err := x.Content(id)
	return rookery.Is(err, rookery.KindNotFound)
}

// giveUp drops chunks that no body will take, and gives back why. Without an
// answer the leader of the group drops them.
func (c *carriage) giveUp(ctx context.Context, stage command.StageID, parts uint32, why error) error {
	if parts > 0 && ctx.Err() == nil {
		if _, err := c.apply(ctx, c.To, &command.Abandon{Stage: stage}); err != nil {
			c.o.Logger.Warn("staged chunks of a move are left to the group's leader to drop", "group", c.To, "stage", stage.N, "error", err)
		}
	}
	return why
}
