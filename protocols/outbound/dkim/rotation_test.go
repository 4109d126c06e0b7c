package dkim

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// apply does steps to entries, as who keeps them would.
func apply(entries []Entry, steps []Step, now time.Time) []Entry {
	for _, s := range steps {
		if s.Change == Make {
			taken := func(name string) bool {
				for _, e := range entries {
					if e.Selector == name {
						return true
					}
				}
				return false
			}
			entries = append(entries, Entry{Selector: Selector(s.Kind, now, taken), Kind: s.Kind, Since: now})
			continue
		}
		var kept []Entry
		for _, e := range entries {
			if e.Selector == s.Selector {
				switch s.Change {
				case Activate:
					e.State, e.Since = Active, now
				case Retire:
					e.State, e.Since = Retired, now
				case Remove:
					continue
				}
			}
			kept = append(kept, e)
		}
		entries = kept
	}
	return entries
}

func TestNext(t *testing.T) {
	s := DefaultSchedule()
	day := func(n int) time.Time { return time.Unix(0, 0).Add(time.Duration(n) * 24 * time.Hour) }
	ed := Entry{Selector: "ed", Kind: Ed25519, State: Active, Since: day(500)}
	for name, c := range map[string]struct {
		entries []Entry
		want    []Step
	}{
		"nothing there":  {nil, []Step{{Make, RSA, ""}, {Make, Ed25519, ""}}},
		"not yet seen":   {[]Entry{ed, {"a", RSA, Prepared, day(400), time.Time{}}}, nil},
		"seen too short": {[]Entry{ed, {"a", RSA, Prepared, day(400), day(499)}}, nil},
		"first one":      {[]Entry{ed, {"a", RSA, Prepared, day(498), day(498)}}, []Step{{Activate, RSA, "a"}}},
		"in use":         {[]Entry{ed, {"a", RSA, Active, day(400), day(400)}}, nil},
		"soon over":      {[]Entry{ed, {"a", RSA, Active, day(324), day(324)}}, []Step{{Make, RSA, ""}}},
		"over, not seen": {[]Entry{ed, {"a", RSA, Active, day(1), day(1)}, {"b", RSA, Prepared, day(300), time.Time{}}}, nil},
		"over, seen": {
			[]Entry{ed, {"a", RSA, Active, day(320), day(1)}, {"b", RSA, Prepared, day(400), day(498)}},
			[]Step{{Activate, RSA, "b"}, {Retire, RSA, "a"}},
		},
		"the next one waits": {[]Entry{ed, {"a", RSA, Active, day(321), day(1)}, {"b", RSA, Prepared, day(400), day(400)}}, nil},
		"retired":            {[]Entry{ed, {"a", RSA, Active, day(471), day(1)}, {"b", RSA, Retired, day(471), day(1)}}, nil},
		"retired for long": {
			[]Entry{ed, {"a", RSA, Active, day(470), day(1)}, {"b", RSA, Retired, day(470), day(1)}},
			[]Step{{Remove, RSA, "b"}},
		},
		"two at once": {
			[]Entry{ed, {"a", RSA, Active, day(470), day(1)}, {"b", RSA, Active, day(471), day(1)}},
			[]Step{{Retire, RSA, "a"}},
		},
	} {
		if got := Next(c.entries, s, day(500)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// Over years, with records published late or never: once a kind signs it always
// does, a signing key's record has been published for the lead, and stays for
// the overlap.
func TestRotation(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		s := DefaultSchedule()
		now := time.Unix(1_800_000_000, 0)
		var entries []Entry
		lastUsed := map[string]time.Time{}
		signs := map[Kind]bool{}
		made := 0
		for range 4 * 365 * 2 {
			now = now.Add(12 * time.Hour)
			for i := range entries {
				if entries[i].Seen.IsZero() && rnd.IntN(int(seed)+2) == 0 {
					entries[i].Seen = now
				}
			}
			steps := Next(entries, s, now)
			for _, step := range steps {
				if step.Change == Remove && now.Sub(lastUsed[step.Selector]) < s.Overlap {
					t.Fatalf("seed %d: %s is removed %s after it signed", seed, step.Selector, now.Sub(lastUsed[step.Selector]))
				}
				if step.Change == Make {
					made++
				}
			}
			entries = apply(entries, steps, now)
			if again := Next(entries, s, now); len(again) > 0 {
				t.Fatalf("seed %d: %+v, and then %+v", seed, steps, again)
			}
			active := map[Kind]int{}
			for _, e := range entries {
				if e.State == Active {
					active[e.Kind]++
					lastUsed[e.Selector] = now
					if e.Seen.IsZero() || now.Sub(e.Seen) < s.Lead {
						t.Fatalf("seed %d: %+v signs at %s", seed, e, now)
					}
				}
			}
			for _, kind := range []Kind{RSA, Ed25519} {
				signs[kind] = signs[kind] || active[kind] == 1
				if signs[kind] && active[kind] != 1 {
					t.Fatalf("seed %d: %d active keys of %s: %s", seed, active[kind], kind, fmt.Sprint(entries))
				}
			}
			if len(entries) > 6 {
				t.Fatalf("seed %d: %d keys pile up: %+v", seed, len(entries), entries)
			}
		}
		if made < 14 || made > 20 {
			t.Errorf("seed %d: %d keys in four years", seed, made)
		}
	}
}
