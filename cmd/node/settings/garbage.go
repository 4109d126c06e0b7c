package settings

import "time"

// DefaultGarbage is what keys that are left out mean.
func DefaultGarbage() Garbage {
	return Garbage{RepackBelow: 60, RepackAfter: "24h", MergeAfter: "1h", RepackRate: 4096, SweepEvery: "168h"}
}

func (g *Garbage) validate(bad report) {
	if g.RepackBelow < 0 || g.RepackBelow > 95 {
		bad("garbage.repack_below", "%d is out of range; set it between 0 and 95", g.RepackBelow)
	}
	if g.RepackRate < 0 || g.RepackRate > 1<<30 {
		bad("garbage.repack_mib_per_hour", "%d is out of range; set it between 0 and %d", g.RepackRate, 1<<30)
	}
	for _, c := range []struct {
		key, val string
		min      time.Duration
	}{{"garbage.repack_after", g.RepackAfter, time.Minute}, {"garbage.merge_after", g.MergeAfter, 0},
		{"garbage.sweep_every", g.SweepEvery, 0}} {
		if d, err := time.ParseDuration(c.val); err != nil || d < c.min || d > 8760*time.Hour {
			bad(c.key, "%q is not between %v and 8760h; write it like 24h", c.val, c.min)
		}
	}
}

// Span is a duration of settings that Validate has looked at.
func Span(s string) time.Duration {
	d, _ := time.ParseDuration(s)
	return d
}
