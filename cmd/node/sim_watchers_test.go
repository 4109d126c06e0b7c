package node

import (
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"rookery"
)

// TestLeadershipLeavesNoWatchers moves the leadership of a group to and fro:
// nobody who follows it is left behind each time.
func TestLeadershipLeavesNoWatchers(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		group := c.groupOf(0)
		watchers := func() (n int) {
			synctest.Wait()
			for _, x := range c.nodes {
				n += reflect.ValueOf(x.groups.Group(group)).Elem().FieldByName("watchers").Len()
			}
			return n
		}
		// Each machine has led once: it has begun whatever a leader runs.
		for range c.nodes {
			c.moveLead(group)
		}
		before := watchers()
		for range 3 * len(c.nodes) {
			c.moveLead(group)
		}
		if after := watchers(); after > before {
			t.Errorf("%d changes of leadership left %d watchers more than %d", 3*len(c.nodes), after-before, before)
		}
	})
}

// moveLead gives the lead of a group to the machine after the one that has it.
func (c *sim) moveLead(group rookery.GroupID) {
	c.t.Helper()
	c.until(time.Minute, "the group has a leader", func() bool { return c.leader(group) != nil })
	from := c.leader(group)
	to := c.nodes[0]
	for k, x := range c.nodes {
		if x == from {
			to = c.nodes[(k+1)%len(c.nodes)]
		}
	}
	c.until(time.Minute, "the lead moves", func() bool {
		if x := c.leader(group); x != nil && x != to {
			x.groups.Group(group).Transfer(c.t.Context(), to.id.Node)
		}
		return c.leader(group) == to
	})
}
