package peers

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rookery"
)

func TestSkews(t *testing.T) {
	type clocks = map[rookery.NodeID]time.Duration
	for name, c := range map[string]struct{ clocks, wrong clocks }{
		"of two nobody knows":        {clocks{"a": 0, "b": time.Minute}, nil},
		"all right":                  {clocks{"a": 0, "b": 900 * time.Millisecond, "c": -50 * time.Millisecond}, clocks{}},
		"another's is ahead":         {clocks{"a": 0, "b": time.Minute, "c": 0}, clocks{"b": time.Minute}},
		"another's is behind":        {clocks{"a": 0, "b": -3 * time.Second, "c": 0}, clocks{"b": -3 * time.Second}},
		"this node's own":            {clocks{"a": 0, "b": time.Minute, "c": time.Minute}, clocks{"a": -time.Minute}},
		"four, one of them by a day": {clocks{"a": 0, "b": 0, "c": 0, "d": 24 * time.Hour}, clocks{"d": 24 * time.Hour}},
		"one of five is slightly slow": {clocks{"a": 0, "b": 0, "c": 0, "d": 0, "e": -1100 * time.Millisecond},
			clocks{"e": -1100 * time.Millisecond}},
	} {
		if d := cmp.Diff(c.wrong, skews(c.clocks)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

const days15 = 15 * 24 * time.Hour

// What time it is for jobs is what a majority says, the earlier of two.
func TestTimeOfAMajority(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		ahead   []time.Duration
		members int
		want    time.Duration
		none    bool
	}{
		"one alone":             {ahead: []time.Duration{0}, members: 1},
		"one of two":            {ahead: []time.Duration{0}, members: 2, none: true},
		"one of three":          {ahead: []time.Duration{0}, members: 3, none: true},
		"the earlier of two":    {ahead: []time.Duration{days15, 0}, members: 3},
		"two of four":           {ahead: []time.Duration{0, 0}, members: 4, none: true},
		"one of three is ahead": {ahead: []time.Duration{time.Millisecond, days15, 0}, members: 3, want: time.Millisecond},
		"one is behind":         {ahead: []time.Duration{time.Millisecond, -days15, 0}, members: 3},
		"two of three are":      {ahead: []time.Duration{days15, days15, 0}, members: 3, want: days15},
		"one of four is ahead":  {ahead: []time.Duration{days15, 3, 2, 1}, members: 5, want: 2},
	} {
		reports := map[rookery.NodeID]Report{}
		for i, d := range c.ahead {
			reports[rookery.NodeID(rune('a'+i))] = Report{Clock: now.Add(d).UnixNano(), Heard: now}
		}
		l := read(reports, c.members)
		if (l.err != nil) != c.none {
			t.Errorf("%s: %v", name, l.err)
			continue
		}
		if d := l.middle.Sub(now.Add(c.want)) - l.at.Sub(now); !c.none && d != 0 {
			t.Errorf("%s: %v off", name, d)
		}
	}
}
