package node

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// The answer of the leader is lost after it has applied a command that another
// node sent it: the command is applied once, and its client hears OK.
func TestSimLostAnswerIsAppliedOnce(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		a := c.ledger.begin(attempt{size: 2000, to: []int{0}, box: mailbox.Inbox})
		if err := c.deliver(c.nodes[0], a); err != nil {
			t.Fatal(err)
		}
		a.acked = true
		c.mustCheck()
		time.Sleep(10 * time.Second) // the placement has spread the leaders
		group, err := c.nodes[0].accounts.Group(c.t.Context(), c.ledger.people[0].account)
		if err != nil {
			t.Fatal(err)
		}
		leader := c.leader(group)
		far := c.nodes[0]
		if far == leader {
			far = c.nodes[1]
		}
		if _, _, err := far.days.Today(c.t.Context(), group); err != nil { // what asks for it is another command
			t.Fatal(err)
		}
		im := c.login(far, 0)
		defer im.conn.Close()
		im.do("SELECT INBOX")
		text := "Subject: appended\r\n\r\nonce\r\n"
		want := boxes{{n: 1}, {}}
		for _, x := range []struct {
			verb string
			do   func()
			then func(b *boxes)
		}{
			{"deliver", func() {
				if err := c.deliver(far, c.ledger.begin(attempt{size: 2000, to: []int{0}, box: mailbox.Inbox})); err != nil {
					t.Error(err)
				}
			}, func(b *boxes) { b[0].n++ }},
			{"APPEND", func() {
				im.do(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(text), text))
			}, func(b *boxes) { b[0].n++ }},
			{"STORE", func() { im.do("STORE 1 FLAGS (\\Flagged)") }, func(b *boxes) { b[0].flagged++ }},
			{"COPY", func() { im.do("COPY 1:2 \"Sent Items\"") }, func(b *boxes) { b[1].n += 2; b[1].flagged++ }},
			{"MOVE", func() { im.do("MOVE 3 \"Sent Items\"") }, func(b *boxes) { b[0].n--; b[1].n++ }},
		} {
			x.then(&want)
			c.loseAnswer(far, group, x.verb, x.do, want)
			for _, y := range c.nodes {
				if err := y.settled(c.t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := y.count(t, c.ledger.people[0].account); got != want {
					t.Errorf("after %s %s has %+v, want %+v", x.verb, y.cfg.Name, got, want)
				}
			}
		}
	})
}

// loseAnswer does something whose next command to a group reaches its leader
// and whose answer does not come back.
func (c *sim) loseAnswer(far *simNode, id rookery.GroupID, what string, do func(), want boxes) {
	c.t.Helper()
	leader := c.leader(id)
	var armed, lost atomic.Bool
	armed.Store(true)
	far.divert(func(ctx context.Context, data []byte, g group) (rookery.LogIndex, []byte, error) {
		if !armed.CompareAndSwap(true, false) {
			return g.Apply(ctx, data)
		}
		c.net.Lose(leader.host+":0", far.host+":0", true)
		go func() {
			defer c.net.Lose(leader.host+":0", far.host+":0", false)
			for range 500 {
				if leader.count(c.t, c.ledger.people[0].account) == want {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
			c.t.Errorf("the leader has not applied %s", what)
		}()
		index, result, err := g.Apply(ctx, data)
		lost.Store(rookery.Is(err, rookery.KindUnknown))
		if err == nil {
			c.t.Errorf("the answer to %s was not lost", what)
		}
		return index, result, err
	})
	do()
	if !lost.Load() {
		c.t.Errorf("%s was never in doubt", what)
	}
}

// boxes are INBOX and Sent Items, as counts.
type boxes [2]struct{ n, flagged int }

// count counts on one machine, without asking anybody.
func (x *simNode) count(t *testing.T, id rookery.AccountID) (b boxes) {
	t.Helper()
	a, err := x.accounts.Open(context.Background(), id)
	if err != nil {
		t.Error(err)
		return b
	}
	v, err := a.View()
	if err != nil {
		t.Error(err)
		return b
	}
	defer v.Close()
	for i := range b {
		m, err := v.Mailbox(testBoxes[i])
		if err != nil {
			t.Error(err)
			return b
		}
		if err := v.Rows(m.ID, 1, m.UIDNext, func(r mailbox.Row) bool {
			b[i].n++
			if r.Flags&command.FlagFlagged != 0 {
				b[i].flagged++
			}
			return true
		}); err != nil {
			t.Error(err)
		}
	}
	return b
}
