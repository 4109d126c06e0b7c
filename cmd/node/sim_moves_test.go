package node

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/members"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/system"
)

// groupOf is where a person's account is by the map, on some machine that runs.
func (c *sim) groupOf(person int) rookery.GroupID {
	c.t.Helper()
	for _, x := range c.nodes {
		if x.Node == nil {
			continue
		}
		if g, err := x.accounts.Group(context.Background(), c.ledger.people[person].account); err == nil {
			return g
		}
	}
	c.t.Fatal("nobody knows where an account is")
	return 0
}

// beginMove begins to move a person's account to the next mail group.
func (c *sim) beginMove(person int) (from, to rookery.GroupID) {
	c.t.Helper()
	all := members.FirstMail()
	from = c.groupOf(person)
	to = all[(slices.Index(all, from)+1)%len(all)]
	c.until(time.Minute, "a move begins", func() bool {
		for _, x := range c.nodes {
			if x.Node == nil {
				continue
			}
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			_, err := x.groups.ProposeSystem(ctx, &command.BeginMove{Account: c.ledger.people[person].account, To: to})
			cancel()
			return err == nil
		}
		return false
	})
	return from, to
}

// movesEnd waits until nothing moves any more.
func (c *sim) movesEnd() {
	c.t.Helper()
	c.until(3*time.Minute, "the moves end", func() bool {
		for _, x := range c.nodes {
			if x.Node == nil {
				continue
			}
			if moves, err := x.system.Moves(); err != nil || len(moves) > 0 {
				return false
			}
			for _, g := range members.FirstMail() {
				m := x.groups.Machine(g)
				if m == nil {
					continue
				}
				if moving, err := m.Moving(); err != nil || len(moving) > 0 {
					return false
				}
			}
		}
		return true
	})
}

// divertAll puts a test in the way of what a machine sends into any group.
func (x *simNode) divertAll(apply func(ctx context.Context, data []byte, g group) (rookery.LogIndex, []byte, error)) {
	x.detour.Store(&detour{true, apply})
}

// The machine that carries a move loses its power at each step of it, before
// and after the step is done, while mail comes: another goes on, and everything
// is there once, on each.
func TestSimMoveSurvivesItsCoordinator(t *testing.T) {
	steps := []command.Command{&command.MoveOut{}, &command.ImportBegin{}, &command.Import{}, &command.ImportBody{}, &command.MoveFreeze{},
		&command.ImportSeal{}, &command.SwitchMove{}, &command.Activate{}, &command.MoveGone{}, &command.EndMove{}}
	bubble(t, nil, func(c *sim) {
		l, stop := c.send(1)
		time.Sleep(4 * time.Second)
		for i, step := range steps {
			person := i % testPeople
			leader := c.leader(c.groupOf(person))
			if leader == nil {
				c.until(time.Minute, "a leader", func() bool { leader = c.leader(c.groupOf(person)); return leader != nil })
			}
			reached := make(chan struct{})
			var once sync.Once
			after := i%2 == 1
			leader.divertAll(func(ctx context.Context, data []byte, g group) (rookery.LogIndex, []byte, error) {
				if reflect.TypeOf(commandIn(data)) != reflect.TypeOf(step) {
					return g.Apply(ctx, data)
				}
				var index rookery.LogIndex
				var result []byte
				var err error
				if after {
					index, result, err = g.Apply(ctx, data)
				}
				once.Do(func() { close(reached) })
				<-ctx.Done()
				return index, result, err
			})
			c.beginMove(person)
			select {
			case <-reached:
			case <-time.After(time.Minute):
				t.Fatalf("nobody came to %T", step)
			}
			c.powerCut(leader)
			c.movesEnd()
			c.on(leader)
			c.catchesUp(leader)
			c.movesEnd()
		}
		stop()
		l.mustBeTemporary(t)
		time.Sleep(30 * time.Second)
		c.mustCheck()
	})
}

// The target's leader dies while the copy comes in, a machine is cut off, and
// accounts are moved round and round under load meanwhile.
func TestSimMovesUnderLoad(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		l, stop := c.send(1)
		time.Sleep(3 * time.Second)
		before := c.groupOf(0)
		for round := range 3 {
			for person := range testPeople {
				c.beginMove(person)
			}
			x := c.leader(c.groupOf(0))
			switch {
			case x == nil:
			case round == 0:
				c.powerCut(x)
				time.Sleep(10 * time.Second)
				c.on(x)
			case round == 1:
				c.part(x, true)
				time.Sleep(10 * time.Second)
				c.part(x, false)
			}
			c.movesEnd()
		}
		if c.groupOf(0) == before {
			t.Error("nothing has moved")
		}
		stop()
		l.mustBeTemporary(t)
		time.Sleep(30 * time.Second)
		c.mustCheck()
	})
}

// Sessions on every node go on through a move, and see what any node has
// acknowledged, at once.
func TestSimSessionsGoOnThroughAMove(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		var ims []*imapClient
		for _, x := range c.nodes {
			im := c.login(x, 0)
			defer im.conn.Close()
			im.do("SELECT INBOX")
			ims = append(ims, im)
		}
		n := 0
		validity := ""
		see := func(stage string) {
			t.Helper()
			n++
			text := fmt.Sprintf("Subject: %d\r\n\r\n%s\r\n", n, stage)
			answer := ims[n%3].do(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(text), text))
			code := answer[len(answer)-1]
			code = code[strings.Index(code, "APPENDUID"):]
			code = code[:strings.Index(code, "]")]
			fields := strings.Fields(code)
			if validity == "" {
				validity = fields[1]
			}
			if fields[1] != validity || fields[2] != fmt.Sprint(n) {
				t.Errorf("%s: message %d is %s, UIDVALIDITY was %s", stage, n, code, validity)
			}
			for i, im := range ims {
				want := fmt.Sprintf("MESSAGES %d", n)
				if got := strings.Join(im.do("STATUS INBOX (MESSAGES UIDVALIDITY)"), ""); !strings.Contains(got, want) {
					t.Errorf("%s: node %d says %q after message %d", stage, i+1, got, n)
				}
				im.do("NOOP")
				if got := strings.Join(im.do(fmt.Sprintf("UID FETCH %d (BODY.PEEK[TEXT])", n)), ""); !strings.Contains(got, stage) {
					t.Errorf("%s: node %d reads %q", stage, i+1, got)
				}
			}
		}
		see("before")
		for round := range 3 {
			_, to := c.beginMove(0)
			for {
				see("during")
				if moves, err := c.nodes[0].system.Moves(); err == nil && len(moves) == 0 {
					break
				}
			}
			if got := c.groupOf(0); got != to {
				t.Fatalf("round %d: the account is in group %d, not %d", round, got, to)
			}
			see("after")
		}
		// A client that idles hears of mail in the new group.
		ims[0].send("i IDLE")
		ims[0].until("+ ")
		c.beginMove(0)
		c.movesEnd()
		if err := c.deliver(c.nodes[1], c.ledger.begin(attempt{size: 1000, to: []int{0}, box: mailbox.Inbox})); err != nil {
			t.Fatal(err)
		}
		ims[0].until(fmt.Sprintf("* %d EXISTS", n+1))
	})
}

// A move whose target does not answer is given up by itself, and an operator
// gives one up: the account serves where it was, and mail comes once.
func TestSimMoveIsGivenUp(t *testing.T) {
	bubble(t, func(u *tuning) { u.frozen = 3 * time.Second }, func(c *sim) {
		from := c.groupOf(0)
		leader := c.leader(from)
		hold := func(kind command.Command) (reached chan struct{}) {
			reached = make(chan struct{})
			var once sync.Once
			leader.divertAll(func(ctx context.Context, data []byte, g group) (rookery.LogIndex, []byte, error) {
				if reflect.TypeOf(commandIn(data)) == reflect.TypeOf(kind) {
					once.Do(func() { close(reached) })
					<-ctx.Done()
					return 0, nil, rookery.E("apply", rookery.KindUnavailable, ctx.Err())
				}
				return g.Apply(ctx, data)
			})
			return reached
		}
		reached := hold(&command.ImportSeal{})
		c.beginMove(0)
		<-reached
		a := c.ledger.begin(attempt{size: 2000, to: []int{0}, box: mailbox.Inbox}) // waits for the end
		if err := c.deliver(c.nodes[1], a); err != nil {
			t.Fatal(err)
		}
		a.acked = true
		c.movesEnd()
		if got := c.groupOf(0); got != from {
			t.Fatalf("the account is in group %d after its move was given up", got)
		}
		reached = hold(&command.Import{})
		c.beginMove(0)
		<-reached
		x, err := leader.system.Move(c.ledger.people[0].account)
		if err == nil {
			_, err = leader.groups.ProposeSystem(c.t.Context(), &command.AbandonMove{Account: x.Account, Move: x.Move, Reason: "test"})
		}
		if err != nil {
			t.Fatal(err)
		}
		if s := leader.moves.Status(x); s.State != system.MoveCopying.String() || s.Messages == nil || *s.Messages != 1 {
			t.Errorf("the status of a move is %+v", s)
		}
		leader.divertAll(func(ctx context.Context, data []byte, g group) (rookery.LogIndex, []byte, error) {
			return g.Apply(ctx, data)
		})
		c.powerCut(leader) // it waits for ever in its last try
		c.on(leader)
		c.movesEnd()
		if got := c.groupOf(0); got != from {
			t.Fatalf("the account is in group %d after its move was abandoned", got)
		}
		a = c.ledger.begin(attempt{size: 2000, to: []int{0, 1, 2}, box: mailbox.Inbox})
		if err := c.deliver(c.nodes[2], a); err != nil {
			t.Fatal(err)
		}
		a.acked = true
		time.Sleep(20 * time.Second)
		c.mustCheck()
	})
}

// What a message owes to another group is filed where its recipient is by
// then, once.
func TestSimMoveOfAnOwedAccount(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		x := c.nodes[0]
		var mu sync.Mutex
		held := true
		x.divertAll(func(ctx context.Context, data []byte, g group) (rookery.LogIndex, []byte, error) {
			mu.Lock()
			hold := held
			mu.Unlock()
			if d, ok := commandIn(data).(*command.Deliver); ok && d.FromItem != nil && hold {
				return 0, nil, rookery.E("apply", rookery.KindUnavailable, nil)
			}
			return g.Apply(ctx, data)
		})
		a := c.ledger.begin(attempt{size: 3000, to: []int{0, 1, 2, 3, 4, 5}, box: mailbox.Inbox})
		if err := c.deliver(x, a); err != nil {
			t.Fatal(err)
		}
		a.acked = true
		for range 2 {
			for person := range testPeople {
				c.beginMove(person)
			}
			c.movesEnd()
		}
		mu.Lock()
		held = false
		mu.Unlock()
		time.Sleep(40 * time.Second)
		c.mustCheck()
	})
}
