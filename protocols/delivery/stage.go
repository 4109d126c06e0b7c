package delivery

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/semaphore"
	"rookery"
	"rookery/storage/command"
)

// inFlight bounds the bytes of bodies on their way into one group's log, all
// messages together: the pipeline of Raft is kept free for small commands.
const inFlight = 1 << 20

// smallBody is a body too small to count.
const smallBody = 16 << 10

// abandonTime bounds the clearing up after a message that failed.
const abandonTime = 30 * time.Second

// budget is a group's semaphore of bytes.
func (d *Deliverer) budget(group rookery.GroupID) *semaphore.Weighted {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.budgets[group]
	if b == nil {
		b = semaphore.NewWeighted(inFlight)
		d.budgets[group] = b
	}
	return b
}

// applyBody is apply for commands that carry size bytes of a body.
func (d *Deliverer) applyBody(ctx context.Context, group rookery.GroupID, c command.Command,
	size int) (command.Result, rookery.LogIndex, error) {
	if size > smallBody {
		b := d.budget(group)
		if err := b.Acquire(ctx, int64(size)); err != nil {
			return nil, 0, rookery.E("stage message", rookery.KindUnavailable, fmt.Errorf("the group takes no more bodies in time: %w", err))
		}
		defer b.Release(int64(size))
	}
	return d.apply(ctx, group, c)
}

// carrier brings an encoded body into a group: gathered for the Deliver entry
// while it is small, staged in chunks of command.MaxChunk from there on.
type carrier struct {
	d     *Deliverer
	ctx   context.Context
	group rookery.GroupID
	id    command.StageID
	parts uint32
	buf   []byte
}

func (d *Deliverer) carrier(ctx context.Context, group rookery.GroupID) *carrier {
	return &carrier{d: d, ctx: ctx, group: group,
		id: command.StageID{Node: d.o.Node, Epoch: d.o.Epoch, N: d.stages.Add(1)}}
}

// write takes the next encoded bytes.
func (c *carrier) write(p []byte) error {
	for len(c.buf)+len(p) > command.MaxChunk {
		n := command.MaxChunk - len(c.buf)
		c.buf = append(c.buf, p[:n]...)
		p = p[n:]
		if err := c.stage(); err != nil {
			return err
		}
	}
	c.buf = append(c.buf, p...)
	return nil
}

func (c *carrier) stage() error {
	if c.parts == 0 {
		c.d.carry(c.id)
	}
	_, _, err := c.d.applyBody(c.ctx, c.group, &command.Stage{Stage: c.id, Part: c.parts, Payload: c.buf}, len(c.buf))
	if err != nil {
		return err
	}
	c.parts++
	c.buf = c.buf[:0]
	return nil
}

// deliver sends the command with the body that was carried.
func (c *carrier) deliver(cmd *command.Deliver) (*command.DeliverResult, rookery.LogIndex, error) {
	if c.parts > 0 {
		if len(c.buf) > 0 {
			if err := c.stage(); err != nil {
				return nil, 0, err
			}
		}
		cmd.Staged = &command.Staged{Stage: c.id, Parts: c.parts}
	} else {
		cmd.Payload = c.buf
	}
	r, index, err := c.d.applyBody(c.ctx, c.group, cmd, len(cmd.Payload))
	if err != nil {
		return nil, index, err
	}
	c.d.carried(c.id)
	return r.(*command.DeliverResult), index, nil
}

// abandon drops what was staged, also when the sender's time is over. A Deliver
// still on its way is refused from then on, which is right: it was not
// acknowledged.
func (c *carrier) abandon() {
	defer c.d.carried(c.id)
	if c.parts == 0 && len(c.buf) < command.MaxChunk {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), abandonTime)
	defer cancel()
	if _, _, err := c.d.apply(ctx, c.group, &command.Abandon{Stage: c.id}); err != nil {
		c.d.o.Logger.Warn("delivery: staged chunks are left to the group's leader to drop",
			"group", c.group, "stage", c.id.N, "parts", c.parts, "error", err)
	}
}

// carry notes a stage before its first chunk is sent.
func (d *Deliverer) carry(id command.StageID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.staging[id] = true
}

// carried notes that nothing is sent of a stage any more, and never again.
func (d *Deliverer) carried(id command.StageID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.staging, id)
}

// Carries reports whether a stage is still on its way from here. Once it is
// not, it never is again.
func (d *Deliverer) Carries(id command.StageID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.staging[id]
}
