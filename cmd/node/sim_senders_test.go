package node

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"rookery/cmd/node/adminapi"
)

// submitLater has a person send a message that goes after a while.
func (c *sim) submitLater(x *simNode, person int, after, subject string, to ...string) {
	c.t.Helper()
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + login(person) + "\x00secret"))
	lines := []string{"EHLO a.example", "AUTH PLAIN " + plain, "MAIL FROM:<" + login(person) + "> HOLDFOR=" + after}
	for _, a := range to {
		lines = append(lines, "RCPT TO:<"+a+">")
	}
	lines = append(lines, "DATA", "From: "+login(person)+"\r\nSubject: "+subject+"\r\n\r\nhi\r\n.")
	c.until(time.Minute, "a message is accepted", func() bool {
		all := c.converse(x, 465, lines...)
		return len(all) == len(lines)+1 && strings.HasPrefix(all[len(all)-1], "250 ")
	})
}

// owedBy counts what waits of a person's mail, by its state.
func (x *simNode) owedBy(c *sim, person int) map[string]int {
	c.t.Helper()
	l, err := x.couriers.List(c.t.Context(), adminapi.QueueFilter{Sender: login(person)}, 10_000)
	if err != nil {
		c.t.Fatal(err)
	}
	states := map[string]int{}
	for _, e := range l.Entries {
		states[e.State]++
	}
	return states
}

// With an account goes what it has scheduled and what is held of it, in every group
// that it was ever in; mail of others stays.
func TestSimErasedSenderSendsNothingMore(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		t, x := c.t, c.nodes[0]
		c.submitLater(x, 0, "86400", "before the move", "x@far.example", login(1))
		c.submitLater(x, 0, "86400", "to be held", "y@far.example")
		held := adminapi.QueueOrder{QueueFilter: adminapi.QueueFilter{Recipient: "y@far.example"}}
		if d, err := x.couriers.Steer(t.Context(), "hold", held); err != nil || d.Done != 1 {
			t.Fatal(d, err)
		}
		_, to := c.beginMove(0)
		c.until(time.Minute, "the account has moved", func() bool { return c.groupOf(0) == to })
		c.movesEnd()
		c.submitLater(x, 0, "86400", "after the move", "z@far.example")
		c.submitLater(x, 1, "86400", "of somebody else", "x@far.example")
		if got := x.owedBy(c, 0); got["scheduled"] != 3 || got["held"] != 1 {
			t.Fatalf("waiting are %v, want 3 scheduled and 1 held", got)
		}
		if _, err := x.keys.Erase(t.Context(), []string{login(0)}); err != nil {
			t.Fatal(err)
		}
		c.awaitErased(3 * time.Minute)
		if got := x.owedBy(c, 0); len(got) > 0 {
			t.Errorf("of the erased account %v waits", got)
		}
		if got := x.owedBy(c, 1); got["scheduled"] != 1 {
			t.Errorf("of somebody else %v waits, want 1 scheduled", got)
		}
	})
}
