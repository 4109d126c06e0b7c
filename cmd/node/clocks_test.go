package node

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rookery"
)

func TestSkews(t *testing.T) {
	type clocks = map[rookery.NodeID]time.Duration
	for name, c := range map[string]struct{ clocks, wrong clocks }{
		"of two nobody knows":          {clocks{"a": 0, "b": time.Minute}, nil},
		"all right":                    {clocks{"a": 0, "b": 900 * time.Millisecond, "c": -50 * time.Millisecond}, clocks{}},
		"another's is ahead":           {clocks{"a": 0, "b": time.Minute, "c": 0}, clocks{"b": time.Minute}},
		"another's is behind":          {clocks{"a": 0, "b": -3 * time.Second, "c": 0}, clocks{"b": -3 * time.Second}},
		"this node's own":              {clocks{"a": 0, "b": time.Minute, "c": time.Minute}, clocks{"a": -time.Minute}},
		"four, one of them by a day":   {clocks{"a": 0, "b": 0, "c": 0, "d": 24 * time.Hour}, clocks{"d": 24 * time.Hour}},
		"one of five is slightly slow": {clocks{"a": 0, "b": 0, "c": 0, "d": 0, "e": -1100 * time.Millisecond}, clocks{"e": -1100 * time.Millisecond}},
	} {
		if d := cmp.Diff(c.wrong, skews(c.clocks)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
