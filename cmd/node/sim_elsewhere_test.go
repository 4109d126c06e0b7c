package node

import (
	"slices"
	"testing"
	"time"

	"rookery/storage/command"
)

// With more nodes than replicas no node has all groups. Keys are destroyed and
// accounts erased from any of them all the same.
func TestSimKeysAreDestroyedFromANodeWithoutGroups(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		ctx := c.t.Context()
		gone := c.victims(1)[0]
		x := c.spare()
		c.until(time.Minute, "a rotation by the fourth node", func() bool {
			_, err := x.keys.Rotate(ctx)
			return err == nil
		})
		use := x.rings.Tenant.Keys.Current()
		c.until(time.Minute, "everything is rewrapped", func() bool {
			s, err := x.keys.Status(ctx)
			return err == nil && accountsUnder(s, use) == testPeople+1
		})
		if x.runs() != 0 {
			t.Fatal("the fourth node has groups: nothing is tried")
		}
		if _, err := x.keys.Destroy(ctx); err != nil {
			t.Errorf("destroy: %v", err)
		}
		for _, y := range c.nodes {
			if v := y.rings.Tenant.Keys.Versions(); !slices.Equal(v, []uint32{use}) {
				t.Errorf("%s holds %v", y.cfg.Name, v)
			}
		}
		if err := x.groups.Commit(ctx, gone.group, &command.BarAccount{Account: gone.id}); err != nil {
			t.Errorf("erase: %v", err)
		}
		if err := x.accounts.Purge(ctx, gone.group, gone.id, 1); err != nil {
			t.Errorf("reap: %v", err)
		}
	})
}
