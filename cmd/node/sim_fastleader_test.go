package node

import (
	"context"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/uidset"
)

const days15 = 15 * 24 * time.Hour

// recoverable counts an account's expunged messages by a machine's own state.
func (c *sim) recoverable(x *simNode, id rookery.AccountID) int {
	c.t.Helper()
	a, err := x.accounts.Open(c.t.Context(), id)
	if err != nil {
		c.t.Fatal(err)
	}
	v, err := a.View()
	if err != nil {
		c.t.Fatal(err)
	}
	defer v.Close()
	list, err := v.Expunged(command.ExpungedID{}, 100)
	if err != nil {
		c.t.Fatal(err)
	}
	return len(list)
}

// expungeOne files a message for a person and expunges it.
func (c *sim) expungeOne(x *simNode, person int) rookery.AccountID {
	c.t.Helper()
	id := c.ledger.people[person].account
	c.sendTo(x.Node, id, 100)
	a, err := x.accounts.Open(c.t.Context(), id)
	if err == nil {
		_, _, err = a.Expunge(c.t.Context(), command.Expunge{Mailbox: mailbox.Inbox, UIDs: uidset.New(1), Force: true})
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return id
}

// A leader whose clock is 15 days ahead deletes nothing that is not yet due,
// whether the nodes can tell that its clock is the wrong one or, with two
// clocks left, cannot. When most clocks say so, it is due.
func TestSimFastLeaderPurgesNothing(t *testing.T) {
	for name, told := range map[string]bool{"known": true, "not known": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(u *tuning) { u.purge = time.Second }, func(c *sim) {
				g := c.groupOf(0)
				x := c.leader(g)
				id := c.expungeOne(x, 0)
				if !told {
					c.off(c.another(x))
				}
				began := time.Now()
				x.ahead.Store(int64(days15))
				if x.clocks.Skew() != 0 {
					t.Error("it is known at once: the test looks at the wrong moment")
				}
				x.mustDecideNothing(c.t, g, began)
				time.Sleep(20 * time.Second)
				if known := x.clocks.Skew() != 0; known != told {
					t.Errorf("that its clock is wrong is known: %v", known)
				}
				if !told && c.leader(g) != x {
					t.Error("it does not lead any more: the test shows nothing")
				}
				if n := c.recoverable(x, id); n != 1 {
					t.Fatalf("%d expunged messages can be recovered, want the one of just now", n)
				}
				x.mustDecideNothing(c.t, g, began)
				for _, y := range c.nodes {
					y.ahead.Store(int64(days15))
				}
				c.until(30*time.Second, "a purge that is due", func() bool { return c.recoverable(x, id) == 0 })
			})
		})
	}
}

// mustDecideNothing has each job of a node whose clock has just gone ahead
// decide by age; since is when the clock was right.
func (x *simNode) mustDecideNothing(t *testing.T, g rookery.GroupID, since time.Time) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	late := func(at time.Time) bool { return at.After(time.Now().Add(2 * time.Second)) }
	for job, wrong := range map[string]func() bool{
		"time of jobs in a group": func() bool {
			now, err := x.groups.JobTime(x.clocks, g)
			return err == nil && late(now)
		},
		"purge of expunged messages": func() bool {
			err := x.upkeep.PurgeGroup(ctx, g)
			return err != nil && !rookery.Is(err, rookery.KindUnavailable)
		},
		"deletion of packs": func() bool {
			gone, _ := x.objects.Deletable(g, mailbox.Pack{ID: "x", Dead: since.UnixNano()})
			return gone
		},
		"orphan sweep": func() bool {
			before, err := x.system.Swept()
			x.objects.SweepIfDue(ctx)
			after, aerr := x.system.Swept()
			return err != nil || aerr != nil || after.Time != before.Time && late(time.Unix(0, after.Time))
		},
		"beginning of a hold": func() bool {
			_, err := x.objects.PlaceHold(ctx, adminapi.HoldOrder{Name: "h", Reason: "test"})
			holds, herr := x.system.Holds()
			for _, h := range holds {
				if late(time.Unix(0, h.From)) {
					return true
				}
			}
			return herr != nil || err == nil && len(holds) == 0
		},
		"expiry of an invitation": func() bool {
			_, _, _ = x.registry.MintToken(ctx, time.Hour)
			all, err := x.system.Invitations()
			for _, i := range all {
				if late(time.Unix(0, i.Expires).Add(-time.Hour)) {
					return true
				}
			}
			return err != nil
		},
	} {
		if wrong() {
			t.Errorf("%s: decided by a clock that is 15 days ahead", job)
		}
	}
}
