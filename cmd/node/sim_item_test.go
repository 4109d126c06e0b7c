package node

import (
	"context"
	"errors"
	"net/smtp"
	"sync"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/replicas"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/state"
)

// group is the way to a group.
type group interface {
	Apply(ctx context.Context, data []byte) (rookery.LogIndex, []byte, error)
}

// way is a group to which a function is the way.
type way replicas.Way

// Apply implements group.
func (w way) Apply(ctx context.Context, data []byte) (rookery.LogIndex, []byte, error) {
	return w(ctx, data)
}

// detour is a test in the way of what a machine sends into its groups; all says
// into the system group too.
type detour struct {
	all   bool
	apply func(ctx context.Context, data []byte, g group) (rookery.LogIndex, []byte, error)
}

// apply is replicas.Tuning.Apply.
func (x *simNode) apply(ctx context.Context, id rookery.GroupID, data []byte, on replicas.Way) (rookery.LogIndex, []byte, error) {
	if d := x.detour.Load(); d != nil && (d.all || id != rookery.SystemGroup) {
		return d.apply(ctx, data, way(on))
	}
	return on(ctx, data)
}

// divert puts a test in the way of what a machine sends into every mail group
// from now on, for as long as it runs.
func (x *simNode) divert(apply func(ctx context.Context, data []byte, g group) (rookery.LogIndex, []byte, error)) {
	x.detour.Store(&detour{apply: apply})
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

// holdFanOut keeps what the leader of a group files in further groups from
// getting there, and calls reached with the first, until its context ends or
// the function returned is called. What other machines file goes on.
func (c *sim) holdFanOut(x *simNode, reached func()) (release func()) {
	let := make(chan struct{})
	once := sync.Once{}
	x.divert(func(ctx context.Context, data []byte, g group) (rookery.LogIndex, []byte, error) {
		if d, ok := commandIn(data).(*command.Deliver); ok && d.FromItem != nil {
			once.Do(reached)
			select {
			case <-let:
			case <-ctx.Done():
				return 0, nil, rookery.E("apply", rookery.KindUnavailable, ctx.Err())
			}
		}
		return g.Apply(ctx, data)
	})
	return func() { close(let) }
}

// everyoneHas reports whether a machine shows so many messages in each inbox.
func (c *sim) everyoneHas(x *simNode, want int) bool {
	for _, p := range c.ledger.people {
		g, err := x.accounts.Group(context.Background(), p.account)
		if err != nil || inboxOf(x.groups.Machine(g), p.account) < want {
			return false
		}
	}
	return true
}

// inboxOf counts the messages of an inbox, which a replica may not know yet.
func inboxOf(m *mailbox.Machine, id rookery.AccountID) int {
	v, err := m.View(id)
	if err != nil {
		return 0
	}
	defer v.Close()
	box, err := v.Mailbox(mailbox.Inbox)
	if err != nil {
		return 0
	}
	return int(box.Messages)
}

// fanOut gives how long it takes until a machine shows so many messages in
// every inbox, a minute if it never does. It is the bubble's clock: a slow
// machine changes nothing.
func (c *sim) fanOut(x *simNode, want int) <-chan time.Duration {
	began, took := time.Now(), make(chan time.Duration, 1)
	go func() {
		for !c.everyoneHas(x, want) && time.Since(began) < time.Minute {
			time.Sleep(5 * time.Millisecond)
		}
		took <- time.Since(began)
	}()
	return took
}

func (c *sim) within(most, took time.Duration) {
	c.t.Helper()
	c.t.Logf("a message is everywhere after %v", took)
	if took > most {
		c.t.Errorf("a message is everywhere after %v, want %v at most", took, most)
	}
}

// await waits for what a machine is to do.
func (c *sim) await(reached <-chan struct{}) {
	c.t.Helper()
	select {
	case <-reached:
	case <-time.After(time.Minute):
		c.t.Fatal("the leader of the first group files nothing within a minute")
	}
}

// everybody are the recipients of a message for every group.
func (c *sim) everybody() *attempt {
	to := make([]int, len(c.ledger.people))
	for i := range to {
		to[i] = i
	}
	return c.ledger.begin(attempt{size: 3000, to: to, box: mailbox.Inbox})
}

// The power goes on the node that files a message in further groups after the
// first has it and before any other: all recipients get it, once, and as soon
// as the first group has a new leader.
func TestSimFilingNodeDiesBeforeTheFanOut(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		for i, through := range c.nodes {
			first := c.leader(c.groupOf(0))
			reached := make(chan struct{})
			c.holdFanOut(first, func() { close(reached) })
			a := c.everybody()
			answer := make(chan error, 1)
			go func() { answer <- c.deliver(through, a) }()
			c.await(reached)
			took := c.fanOut(c.another(first), i+1)
			c.powerCut(first)
			<-answer // or none: its client has to send it again then
			a.acked = true
			c.within(5*time.Second, <-took)
			c.mustCheck() // on the two that are left
			c.on(first)
			c.catchesUp(first)
			time.Sleep(20 * time.Second)
			c.mustCheck()
		}
	})
}

// another is one of the first three machines.
func (c *sim) another(than *simNode) *simNode {
	if c.nodes[0] != than {
		return c.nodes[0]
	}
	return c.nodes[1]
}

// A message through a node that holds none of its groups reaches all of them at
// once; and when the first group gets another leader in the middle, that one
// files it, once, whatever the former still sends.
func TestSimLeaderFilesInFurtherGroups(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		far := c.spare()
		holders := c.nodes[:3]
		send := func() {
			t.Helper()
			a := c.everybody()
			if err := c.deliver(far, a); err != nil {
				t.Fatal(err)
			}
			a.acked = true
		}
		n := 0
		for range 3 {
			send()
			n++
			c.within(time.Second, <-c.fanOut(c.nodes[0], n))
		}
		// Far from its groups a node takes the first recipient's as the first.
		first := c.leader(c.groupOf(0))
		reached := make(chan struct{})
		release := c.holdFanOut(first, func() { close(reached) })
		send()
		n++
		c.await(reached)
		took := c.fanOut(c.nodes[0], n)
		if err := first.groups.Group(c.groupOf(0)).Transfer(c.t.Context(), c.another(first).id.Node); err != nil {
			t.Fatal(err)
		}
		c.within(2*time.Second, <-took)
		release() // what the former leader sends comes late
		time.Sleep(20 * time.Second)
		c.mustCheckOn(holders...)
		if err := c.ledger.settle(); err != nil {
			t.Error(err)
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
