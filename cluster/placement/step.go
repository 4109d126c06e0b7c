package placement

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"rookery"
)

// State is a group as its leader sees it.
type State struct {
	// Leader is the node that asks; it leads.
	Leader rookery.NodeID
	// Last is the leader's last index, read before the others were asked how
	// far they are: otherwise no node catches up under load.
	Last             rookery.LogIndex
	Voters, Learners []rookery.NodeID
	// Progress has the nodes that answer. A node that is no member yet has
	// applied nothing.
	Progress map[rookery.NodeID]Progress
}

// Progress is how far a node is.
type Progress struct {
	Applied rookery.LogIndex
	// Since is since when the node has answered without a gap.
	Since time.Time
}

// Target is what a group's configuration should be. Voters hold the group;
// Learners follow it without a vote.
type Target struct {
	Voters, Learners []rookery.NodeID
}

// ActionKind is what to do.
type ActionKind uint8

// The actions.
const (
	None ActionKind = iota
	AddLearner
	Promote
	Remove
	Transfer
)

func (k ActionKind) String() string {
	return [...]string{"nothing", "add learner", "promote", "remove", "transfer leadership to"}[k]
}

// Action is one step of a group's configuration.
type Action struct {
	Kind ActionKind
	Node rookery.NodeID
}

func (a Action) String() string {
	if a.Kind == None {
		return a.Kind.String()
	}
	return fmt.Sprintf("%s %s", a.Kind, a.Node)
}

// changesVotes reports whether the action gives or ends a vote.
func (a Action) changesVotes(s State) bool {
	return a.Kind == Promote || a.Kind == Remove && slices.Contains(s.Voters, a.Node)
}

// Step is the next action that brings a group to its target; the zero Action
// if there is none, or none now. It is for the group's leader and never takes
// a group below its majority of live, caught-up votes. It never removes the
// leader: that hands leadership over first.
func Step(s State, want Target, p Policy, now time.Time) Action {
	if !slices.Contains(s.Voters, s.Leader) {
		return Action{} // a configuration of another term: wait
	}
	for _, id := range want.Voters {
		if _, answers := s.Progress[id]; answers && !s.member(id) {
			return Action{AddLearner, id}
		}
	}
	if a := s.votes(want, p, now); a.Kind != None {
		return a
	}
	for _, id := range s.Learners {
		if !slices.Contains(want.Voters, id) && !slices.Contains(want.Learners, id) {
			return Action{Remove, id}
		}
	}
	for _, id := range want.Learners {
		if _, answers := s.Progress[id]; answers && !s.member(id) {
			return Action{AddLearner, id}
		}
	}
	return Action{}
}

// Settled reports whether the group is at its target, as far as votes and
// the nodes that hold it go.
func Settled(s State, want Target) bool {
	final := s.final(want)
	if len(final) != len(s.Voters) || len(without(final, s.Voters)) > 0 {
		return false
	}
	return !slices.ContainsFunc(want.Voters, func(id rookery.NodeID) bool { return !s.member(id) })
}

// votes is the next change of the votes, or a transfer that allows one.
func (s State) votes(want Target, p Policy, now time.Time) Action {
	final := s.final(want)
	gain, lose := without(final, s.Voters), without(s.Voters, final)
	var dead, alive []rookery.NodeID // to lose
	for _, id := range lose {
		if _, answers := s.Progress[id]; id == s.Leader {
		} else if answers {
			alive = append(alive, id)
		} else {
			dead = append(dead, id)
		}
	}
	if len(gain) > 0 {
		return s.gain(gain, dead, len(lose) == 0, p, now)
	}
	for _, id := range append(dead, alive...) {
		if s.slack(without(s.Voters, []rookery.NodeID{id}), p) >= 0 {
			return Action{Remove, id}
		}
	}
	if len(lose) == 1 && lose[0] == s.Leader {
		return s.handOver(final, p)
	}
	return Action{}
}

// gain promotes a learner that has caught up. Where it takes over from a dead
// node, that one goes first: with it still counted, the majority would need
// the newcomer. Two votes more are given only together, so that their number
// is not even for longer than a moment.
func (s State) gain(gain, dead []rookery.NodeID, growing bool, p Policy, now time.Time) Action {
	var ready []rookery.NodeID
	for _, id := range gain {
		at, answers := s.Progress[id]
		if answers && slices.Contains(s.Learners, id) && at.Applied > 0 && s.lag(id) < p.CatchUpLag && now.Sub(at.Since) >= p.CatchUpTime {
			ready = append(ready, id)
		}
	}
	if len(ready) == 0 || growing && len(s.Voters)%2 == 1 && len(ready) < 2 {
		return Action{}
	}
	promoted := s.slack(append(slices.Clone(s.Voters), ready[0]), p)
	for _, id := range dead {
		if left := s.slack(without(s.Voters, []rookery.NodeID{id}), p); left >= 0 && left >= promoted {
			return Action{Remove, id}
		}
	}
	if promoted < 0 {
		return Action{}
	}
	return Action{Promote, ready[0]}
}

// handOver gives leadership to the voter that is furthest.
func (s State) handOver(voters []rookery.NodeID, p Policy) Action {
	var able []rookery.NodeID
	for _, id := range voters {
		if id != s.Leader && s.live(id, p) {
			able = append(able, id)
		}
	}
	if len(able) == 0 {
		return Action{}
	}
	best := slices.MinFunc(able, func(a, b rookery.NodeID) int {
		return cmp.Or(cmp.Compare(s.lag(a), s.lag(b)), cmp.Compare(a, b))
	})
	return Action{Transfer, best}
}

// final are the votes to have in the end: the target's, but for one node if
// their number is even and more than there are now. A group on two nodes that
// never had a third has one vote, one that had keeps two.
func (s State) final(want Target) []rookery.NodeID {
	voters := slices.Sorted(slices.Values(want.Voters))
	if len(voters)%2 == 1 || len(s.Voters) >= len(voters) {
		return voters
	}
	for i, id := range slices.Backward(voters) {
		if !slices.Contains(s.Voters, id) {
			return slices.Delete(voters, i, i+1)
		}
	}
	return voters
}

// slack is how many live votes there are above a majority of voters.
func (s State) slack(voters []rookery.NodeID, p Policy) int {
	live := 0
	for _, id := range voters {
		if s.live(id, p) {
			live++
		}
	}
	return live - majority(len(voters))
}

func (s State) live(id rookery.NodeID, p Policy) bool {
	_, answers := s.Progress[id]
	return id == s.Leader || answers && s.lag(id) < p.CatchUpLag
}

func (s State) lag(id rookery.NodeID) uint64 {
	if at := s.Progress[id].Applied; at < s.Last {
		return uint64(s.Last - at)
	}
	return 0
}

func (s State) member(id rookery.NodeID) bool {
	return slices.Contains(s.Voters, id) || slices.Contains(s.Learners, id)
}

// without are the nodes of a that are not in b.
func without(a, b []rookery.NodeID) (left []rookery.NodeID) {
	for _, id := range a {
		if !slices.Contains(b, id) {
			left = append(left, id)
		}
	}
	return left
}
