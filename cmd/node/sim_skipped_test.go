package node

import (
	"bytes"
	"testing"
	"time"

	"rookery"
	rlog "rookery/cluster/log"
)

// A follower that got an image knows which entries it skipped, and reads them,
// those of the bodies and all others, from a node that has them still.
func TestSimReadsWhatAnImageSkipped(t *testing.T) {
	bubble(t, unpacked, func(c *sim) {
		keeps, away := c.nodes[1], c.nodes[2]
		c.off(keeps)
		keeps.deps.tuning.logBudget = 1 << 40
		c.on(keeps)
		c.catchesUp(keeps)
		had := c.applied(away)
		c.off(away)
		c.sendPackedAndNot()
		c.on(away)
		c.catchesUp(away)
		ranges := map[rookery.GroupID]rlog.Range{}
		for g, at := range had {
			l, err := away.groups.Log().Group(g)
			if err != nil {
				t.Fatal(err)
			}
			now, _ := away.groups.Group(g).Machine().Applied()
			if from, to := l.Lacks(at+1, now); from != 0 {
				ranges[g] = rlog.Range{From: from, To: to}
			}
		}
		if len(ranges) == 0 {
			t.Fatal("no image came: the test shows nothing")
		}
		for g, r := range ranges {
			c.mustReadLike(away, keeps, g, r)
		}
		// Where the node that has them is away, the error says so.
		c.off(keeps)
		time.Sleep(15 * time.Second)
		for g, r := range ranges {
			err := away.groups.ReadCommitted(c.t.Context(), g, r, func(rlog.Entry) error { return nil })
			if !rookery.Is(err, rookery.KindUnavailable) {
				t.Errorf("group %d: %v", g, err)
			}
		}
	})
}

// mustReadLike compares a range read on one node with another's own log.
func (c *sim) mustReadLike(x, like *simNode, g rookery.GroupID, r rlog.Range) {
	c.t.Helper()
	l, err := like.groups.Log().Group(g)
	if err != nil {
		c.t.Fatal(err)
	}
	next, bodies := r.From, 0
	err = x.groups.ReadCommitted(c.t.Context(), g, r, func(e rlog.Entry) error {
		want, err := l.Data(e.Index, e.Term)
		if err != nil || e.Index != next || !bytes.Equal(want, e.Data) {
			c.t.Errorf("group %d: entry %d of term %d, want %d: %v", g, e.Index, e.Term, next, err)
		}
		next++
		bodies += len(e.Data)
		return nil
	})
	if err != nil || next != r.To+1 {
		c.t.Errorf("group %d: read to %d of %+v: %v", g, next-1, r, err)
	}
	c.t.Logf("group %d: %+v, %d bytes", g, r, bodies)
}
