package node

import (
	"context"
	"fmt"
	"testing"
	"time"

	"rookery"
	"rookery/storage/mailbox"
)

// A node that was away so long that the log it needs is gone gets an image, and
// with it every body that is in no pack yet: alone, it shows all mail.
func TestSimImageBringsUnpackedBodies(t *testing.T) {
	bubble(t, unpacked, func(c *sim) {
		away := c.nodes[2]
		had := c.applied(away)
		c.off(away)
		c.sendPackedAndNot()
		c.mustCheck()
		c.mustHavePassed(had)
		c.on(away)
		c.catchesUp(away)
		for g := range had {
			c.mustHoldUnpacked(away, g)
		}
		c.holdsUnpacked(away, had)
		c.part(away, true)
		c.readsAlone(away)
	})
}

// unpacked keeps the bodies of the last four minutes in the log, and the log short
// for followers.
func unpacked(u *tuning) {
	u.packAge, u.trailing, u.snapshots = 4*time.Minute, 1, 10
	u.start, u.quorum = 15*time.Second, 10*time.Second // a start whose power went ends by itself
}

// sendPackedAndNot sends mail whose bodies leave the log for packs, so that the
// log is cut, and then mail whose bodies lie in the log alone.
func (c *sim) sendPackedAndNot() {
	c.t.Helper()
	c.sendFor(20 * time.Second)
	time.Sleep(250 * time.Second)
	c.sendFor(8 * time.Second)
}

// mustHavePassed waits until no log holds what comes after an index: only an
// image brings it. Every group holds bodies that are in no pack.
func (c *sim) mustHavePassed(at map[rookery.GroupID]rookery.LogIndex) {
	c.t.Helper()
	for g, index := range at {
		for _, x := range c.nodes {
			if x.Node == nil {
				continue
			}
			l, err := x.groups.Log().Group(g)
			if err != nil {
				c.t.Fatal(err)
			}
			first, err := l.FirstIndex()
			if err != nil || first <= uint64(index)+1 {
				c.t.Fatalf("the log of group %d on %s begins at %d, not after %d (%v)", g, x.cfg.Name, first, index, err)
			}
			c.t.Logf("group %d on %s: the log begins at %d, after %d", g, x.cfg.Name, first, index)
			c.mustHoldUnpacked(x, g)
		}
	}
}

// mustHoldUnpacked demands that a group has bodies that are in the log alone.
func (c *sim) mustHoldUnpacked(x *simNode, g rookery.GroupID) {
	c.t.Helper()
	bodies, err := x.groups.Machine(g).Unpacked(0, 1000)
	if err != nil || len(bodies) < 3 {
		c.t.Fatalf("group %d on %s has %d bodies that are in no pack (%v)", g, x.cfg.Name, len(bodies), err)
	}
}

// holdsUnpacked waits until a machine has the bodies that an image speaks of:
// the state comes first, and Raft counts the image when they are there too.
func (c *sim) holdsUnpacked(x *simNode, groups map[rookery.GroupID]rookery.LogIndex) {
	c.t.Helper()
	for g := range groups {
		l, err := x.groups.Log().Group(g)
		if err != nil {
			c.t.Fatal(err)
		}
		bodies, err := x.groups.Machine(g).Unpacked(0, 1000)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, y := range c.nodes {
			if theirs, err := y.groups.Machine(g).Unpacked(0, 1000); err != nil || len(theirs) != len(bodies) {
				c.t.Errorf("group %d has %d bodies that are in no pack on %s and %d on %s (%v)", g, len(bodies), x.cfg.Name, len(theirs),
					y.cfg.Name, err)
			}
		}
		for _, b := range bodies {
			for _, p := range b.Log {
				c.until(20*time.Second, fmt.Sprintf("%s holds entry %d of group %d", x.cfg.Name, p.Index, g),
					func() bool { return l.Has(p.Index, p.Term) })
			}
		}
	}
}

// readsAlone compares every body with what was sent, on one machine without
// asking anybody.
func (c *sim) readsAlone(x *simNode) {
	c.t.Helper()
	r := reader{c.ledger, x.accounts}
	total := 0
	for _, p := range c.ledger.people {
		a, err := x.accounts.Open(context.Background(), p.account)
		if err != nil {
			c.t.Fatal(err)
		}
		v, err := a.View()
		if err != nil {
			c.t.Fatal(err)
		}
		out := reading{boxes: map[rookery.MailboxID]boxReading{}}
		if err := r.readBox(context.Background(), a, v, p, mailbox.Inbox, func(string) bool { return true }, &out); err != nil {
			c.t.Errorf("%s alone: %v", x.cfg.Name, err)
		}
		v.Close()
		total += len(out.rows)
		if len(out.rows) != len(p.rows) {
			c.t.Errorf("%s has %d of %d messages alone", login(p.number), len(out.rows), len(p.rows))
		}
	}
	c.t.Logf("%d messages read on one machine alone", total)
}
