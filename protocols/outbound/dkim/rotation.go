package dkim

import (
	"cmp"
	"slices"
	"time"
)

// State is where a key stands in its life. Its record is published in all three.
type State uint8

// The states, in their order.
const (
	Prepared State = iota // published, not used yet
	Active                // signs
	Retired               // signs no more; what it has signed is still on the way
)

var stateNames = [...]string{"prepared", "active", "retired"}

// String is the state as operators see it.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// Entry is what rotation knows of one key.
type Entry struct {
	Selector string
	Kind     Kind
	State    State
	// Since is when it came into the state.
	Since time.Time
	// Seen is since when its record has been seen in the DNS, without a gap;
	// zero while it has not.
	Seen time.Time
}

// Schedule says how keys follow one another.
type Schedule struct {
	// Period is how long a key signs before the next one is wanted.
	Period time.Duration
	// Lead is how long a record must have been seen before its key signs: longer
	// than resolvers keep the answer that there is none.
	Lead time.Duration
	// Overlap is how long a key's record stays published after it signed last:
	// longer than mail is queued anywhere.
	Overlap time.Duration
}

// DefaultSchedule is half a year, two days of lead and 30 days of overlap.
func DefaultSchedule() Schedule {
	const day = 24 * time.Hour
	return Schedule{Period: 180 * day, Lead: 2 * day, Overlap: 30 * day}
}

// Change is what is to be done about a key.
type Change uint8

// The changes.
const (
	Make     Change = iota // a new key of the kind, Prepared
	Activate               // Prepared becomes Active
	Retire                 // Active becomes Retired
	Remove                 // Retired is destroyed and its record withdrawn
)

// Step is one change. Selector is empty where a key is to be made.
type Step struct {
	Change   Change
	Kind     Kind
	Selector string
}

// Next says what a domain's keys need at a time, in the order to be done. It
// never leaves a kind that has an active key without one: a key whose record
// nobody has published never takes over, however old the active one is. Done
// twice it changes nothing more.
func Next(entries []Entry, s Schedule, now time.Time) (steps []Step) {
	for _, kind := range []Kind{RSA, Ed25519} {
		steps = append(steps, nextOfKind(entries, kind, s, now)...)
	}
	for _, e := range entries {
		if e.State == Retired && now.Sub(e.Since) >= s.Overlap {
			steps = append(steps, Step{Remove, e.Kind, e.Selector})
		}
	}
	return steps
}

func nextOfKind(entries []Entry, kind Kind, s Schedule, now time.Time) (steps []Step) {
	active, prepared := ofState(entries, kind, Active), ofState(entries, kind, Prepared)
	for len(active) > 1 { // the newest one stays
		steps = append(steps, Step{Retire, kind, active[0].Selector})
		active = active[1:]
	}
	wanted := len(active) == 0 || now.Sub(active[0].Since) >= s.Period
	for _, p := range prepared {
		if !wanted || p.Seen.IsZero() || now.Sub(p.Seen) < s.Lead {
			continue
		}
		steps = append(steps, Step{Activate, kind, p.Selector})
		if len(active) > 0 {
			steps = append(steps, Step{Retire, kind, active[0].Selector})
		}
		return steps
	}
	soon := len(active) == 0 || now.Sub(active[0].Since) >= s.Period-2*s.Lead
	if soon && len(prepared) == 0 {
		steps = append(steps, Step{Make, kind, ""})
	}
	return steps
}

// ofState are the entries of a kind in a state, the oldest first.
func ofState(entries []Entry, kind Kind, state State) (some []Entry) {
	for _, e := range entries {
		if e.Kind == kind && e.State == state {
			some = append(some, e)
		}
	}
	slices.SortFunc(some, func(a, b Entry) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Selector, b.Selector))
	})
	return some
}
