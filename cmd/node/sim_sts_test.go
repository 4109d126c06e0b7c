package node

import (
	"slices"
	"testing"
	"time"

	"rookery/cmd/node/couriers"
	"rookery/protocols/outbound/tlspolicy"
	"rookery/storage/command"
)

// What one node has fetched of a domain's policy all nodes enforce, also when that
// one is gone, until it ends.
func TestSimFetchedPoliciesAreEveryones(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		t := c.t
		now := time.Now()
		fetched := tlspolicy.STS{ID: "1", Mode: tlspolicy.Enforce, MX: []string{"*.far.example"}, Fetched: now, Until: now.Add(time.Hour)}
		if err := (couriers.STSCache{Groups: c.nodes[0].groups}).Put(t.Context(), "far.example", fetched); err != nil {
			t.Fatal(err)
		}
		c.powerCut(c.nodes[0])
		for _, x := range c.nodes[1:] {
			var p tlspolicy.STS
			c.until(time.Minute, "the policy is here", func() bool {
				kept, ok, err := couriers.STSCache{Groups: x.groups}.Get(t.Context(), "far.example")
				p = kept
				return ok && err == nil
			})
			if p.ID != "1" || p.Mode != tlspolicy.Enforce || !slices.Equal(p.MX, fetched.MX) || p.Until.Sub(p.Fetched) != time.Hour {
				t.Errorf("%+v", p)
			}
		}
		large := tlspolicy.STS{MX: make([]string, command.MaxSTSNames+1)}
		if err := (couriers.STSCache{Groups: c.nodes[1].groups}).Put(t.Context(), "far.example", large); err == nil {
			t.Error("a policy without bounds was kept")
		}
	})
}
