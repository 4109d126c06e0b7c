package node

import (
	"context"
	"errors"
	"net/smtp"
	"sync"
	"testing"
	"time"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/state"
)

// detour is the way to a group with a test in the way.
type detour struct {
	group
	apply func(ctx context.Context, data []byte, g group) (rookery.LogIndex, []byte, error)
}

// Apply implements group.
func (d detour) Apply(ctx context.Context, data []byte) (rookery.LogIndex, []byte, error) {
	return d.apply(ctx, data, d.group)
}

// divert puts a test in the way of what a machine sends into every mail group
// from now on.
func (x *simNode) divert(apply func(ctx context.Context, data []byte, g group) (rookery.LogIndex, []byte, error)) {
	x.road.mu.Lock()
	defer x.road.mu.Unlock()
	for _, id := range firstMail() {
		x.road.groups[id] = detour{x.road.groups[id], apply}
	}
}

// commandIn is the command of an entry.
func commandIn(data []byte) command.Command {
	_, off, err := state.Unwrap(data)
	if err != nil {
		return nil
	}
	c, _, _ := command.Decode(data[off:])
	return c
}

// The power goes on the node that files a message for several groups after the
// first has it and before any other: all recipients get it, once.
func TestSimFilingNodeDiesBeforeTheFanOut(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		for _, x := range c.nodes {
			reached := make(chan struct{})
			once := sync.Once{}
			x.divert(func(ctx context.Context, data []byte, g group) (rookery.LogIndex, []byte, error) {
				if d, ok := commandIn(data).(*command.Deliver); ok && d.FromIntent != nil {
					once.Do(func() { close(reached) })
					<-ctx.Done()
					return 0, nil, rookery.E("apply", rookery.KindUnavailable, ctx.Err())
				}
				return g.Apply(ctx, data)
			})
			a := c.ledger.begin(attempt{size: 3000, to: []int{0, 1, 2, 3, 4, 5}, box: mailbox.Inbox})
			answer := make(chan error, 1)
			go func() { answer <- c.deliver(x, a) }()
			<-reached
			c.powerCut(x)
			<-answer // or none: its client has to send it again then
			a.acked = true
			time.Sleep(30 * time.Second)
			c.mustCheck() // on the two that are left
			c.on(x)
			c.catchesUp(x)
			time.Sleep(20 * time.Second)
			c.mustCheck()
		}
	})
}

// deliver sends one message through a machine.
func (c *sim) deliver(x *simNode, a *attempt) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := c.net.Dialer(simClient+":0")(ctx, x.host+":25")
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	cl, err := smtp.NewClient(conn, "localhost")
	if err != nil {
		return err
	}
	err = cl.Mail("load@example.net")
	for _, i := range a.to {
		err = errors.Join(err, cl.Rcpt(login(i)))
	}
	if err != nil {
		return err
	}
	w, err := cl.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(message(a.id, a.size)); err != nil {
		return err
	}
	return w.Close()
}
