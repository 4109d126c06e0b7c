package placement

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"rookery"
)

// world is a model of a cluster: what Raft and the registry would do with the
// decisions of this package, one second a round.
type world struct {
	t      *testing.T
	rand   *rand.Rand
	now    time.Time
	policy Policy
	nodes  []*simNode
	groups []*simGroup
	moves  int // replicas added
	steps  int // actions taken
	said   []string
}

type simNode struct {
	Node
}

type simGroup struct {
	placed           Placement
	voters, learners []rookery.NodeID
	leader           rookery.NodeID
	leaderSince      time.Time
	lag              map[rookery.NodeID]int
}

const simLast = 1 << 20

func (w *world) node(id rookery.NodeID) *simNode {
	i := slices.IndexFunc(w.nodes, func(n *simNode) bool { return n.ID == id })
	return w.nodes[i]
}

// up reports whether a node answers: the removed are cut off.
func (w *world) up(id rookery.NodeID) bool { n := w.node(id); return n.Alive && n.State != Removed }

// able counts live voters that have caught up.
func (w *world) able(g *simGroup, voters []rookery.NodeID) (count int) {
	for _, id := range voters {
		if w.up(id) && g.lag[id] < int(w.policy.CatchUpLag) {
			count++
		}
	}
	return count
}

func (w *world) quorum(g *simGroup) bool { return w.able(g, g.voters) >= majority(len(g.voters)) }

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	for _, s := range w.said[max(0, len(w.said)-40):] {
		w.t.Log(s)
	}
	w.t.Fatalf(format, args...)
}

func (w *world) say(format string, args ...any) {
	w.said = append(w.said, fmt.Sprintf("%s ", w.now.Sub(epoch))+fmt.Sprintf(format, args...))
}

func (w *world) list() (nodes []Node) {
	for _, n := range w.nodes {
		nodes = append(nodes, n.Node)
	}
	return nodes
}

func (w *world) placements() (ps []Placement) {
	for _, g := range w.groups {
		ps = append(ps, g.placed)
	}
	return ps
}

func (w *world) set(n *simNode, alive bool) {
	if n.Alive != alive {
		n.Alive, n.Since = alive, w.now
		w.say("%s alive=%v", n.ID, alive)
		for _, g := range w.groups {
			if alive {
				g.lag[n.ID] += w.rand.IntN(3000)
			}
		}
	}
}

func (w *world) join() {
	n := &simNode{Node{ID: rookery.NodeID(rune('a' + len(w.nodes))), Alive: true, Since: w.now, Zone: []string{"p", "q", "r"}[w.rand.IntN(3)]}}
	w.nodes = append(w.nodes, n)
	w.say("%s joins", n.ID)
}

// mayRemove asks as the command of an operator does.
func (w *world) mayRemove(n *simNode) bool {
	return Removable(n.ID, w.list(), w.placements()) == nil
}

func (w *world) event() {
	n := w.nodes[w.rand.IntN(len(w.nodes))]
	switch w.rand.IntN(8) {
	case 0, 1:
		w.set(n, false)
	case 2, 3:
		w.set(n, true)
	case 4:
		if n.State == Active {
			n.State = Draining
			w.say("%s drains", n.ID)
		}
	case 5:
		if n.State == Draining {
			n.State = Active
			w.say("%s active", n.ID)
		}
	case 6:
		if len(w.nodes) < 12 {
			w.join()
		}
	case 7:
		if n.State != Removed && w.mayRemove(n) {
			n.State = Removed
			w.say("%s removed", n.ID)
		}
	}
}

func (w *world) round() {
	w.now = w.now.Add(time.Second)
	planned := false
	for _, g := range w.groups {
		w.elect(g)
		w.replicate(g)
		if g.leader == "" {
			continue
		}
		w.step(g)
		planned = planned || g.placed.Group == rookery.SystemGroup
	}
	if planned {
		w.plan()
	}
	w.lead()
}

func (w *world) elect(g *simGroup) {
	if g.leader != "" && w.up(g.leader) && slices.Contains(g.voters, g.leader) && w.quorum(g) {
		return
	}
	var able []rookery.NodeID
	for _, id := range g.voters {
		if w.up(id) && g.lag[id] < int(w.policy.CatchUpLag) {
			able = append(able, id)
		}
	}
	old := g.leader
	g.leader = ""
	if len(able) >= majority(len(g.voters)) {
		g.leader = able[w.rand.IntN(len(able))]
	}
	if old != g.leader {
		g.leaderSince = w.now
		w.say("group %d led by %q of %v", g.placed.Group, g.leader, g.voters)
	}
}

func (w *world) replicate(g *simGroup) {
	for _, n := range w.nodes { // in order: one seed, one history
		id := n.ID
		if w.up(id) && (g.leader != "" || slices.Contains(g.voters, id)) {
			g.lag[id] = max(0, g.lag[id]-w.rand.IntN(500))
		}
	}
}

func (w *world) step(g *simGroup) {
	s := State{Leader: g.leader, Last: simLast, Voters: slices.Clone(g.voters), Learners: slices.Clone(g.learners),
		Progress: map[rookery.NodeID]Progress{}}
	for _, n := range w.nodes {
		if w.up(n.ID) {
			s.Progress[n.ID] = Progress{Since: n.Since}
			if s.member(n.ID) {
				s.Progress[n.ID] = Progress{rookery.LogIndex(simLast - g.lag[n.ID]), n.Since}
			}
		}
	}
	want := target(g.placed, w.list())
	a := Step(s, want, w.policy, w.now)
	if voters := slices.Sorted(slices.Values(g.voters)); a.changesVotes(s) && !slices.Equal(voters, g.placed.Voters) {
		g.placed.Voters = voters
		return
	}
	switch a.Kind {
	case None:
		if Settled(s, want) && (!g.placed.Settled() || !slices.Equal(s.final(want), g.placed.Voters)) {
			g.placed.Voters, g.placed.Confirmed = slices.Sorted(slices.Values(g.voters)), g.placed.Version
			w.say("group %d settled on %v", g.placed.Group, g.voters)
		}
		return
	case AddLearner:
		if s.member(a.Node) || !w.up(a.Node) {
			w.fail("%v of %+v", a, s)
		}
		g.learners = append(g.learners, a.Node)
		g.lag[a.Node] = 1000 + w.rand.IntN(4000)
	case Promote:
		if !slices.Contains(g.learners, a.Node) {
			w.fail("%v of %+v", a, s)
		}
		g.learners = without(g.learners, []rookery.NodeID{a.Node})
		g.voters = append(g.voters, a.Node)
	case Remove:
		if a.Node == g.leader || slices.Equal(g.voters, []rookery.NodeID{a.Node}) {
			w.fail("%v of %+v", a, s)
		}
		g.learners = without(g.learners, []rookery.NodeID{a.Node})
		g.voters = without(g.voters, []rookery.NodeID{a.Node})
	case Transfer:
		if !slices.Contains(g.voters, a.Node) || !w.up(a.Node) {
			w.fail("%v of %+v", a, s)
		}
		g.leader, g.leaderSince = a.Node, w.now
	}
	w.steps++
	w.say("group %d on %v+%v: %v", g.placed.Group, s.Voters, s.Learners, a)
	if !w.quorum(g) {
		w.fail("%v took group %d below its majority: %+v", a, g.placed.Group, s)
	}
}

func (w *world) plan() {
	want := Desired(w.list(), w.placements(), w.policy, w.now)
	for _, g := range w.groups {
		members := want[g.placed.Group]
		if slices.Equal(members, g.placed.Members) || len(members) == 0 {
			continue
		}
		lost := 0
		for _, id := range without(g.placed.Members, members) {
			if w.node(id).State != Removed {
				lost++
			}
		}
		added := without(members, g.placed.Members)
		if lost > 1 || lost == 1 && len(added) > 1 {
			w.fail("group %d from %v to %v at once", g.placed.Group, g.placed.Members, members)
		}
		for _, id := range added {
			if !w.up(id) || w.node(id).State != Active {
				w.fail("group %d placed on %v", g.placed.Group, w.node(id))
			}
		}
		w.moves += len(added)
		w.say("group %d placed from %v to %v", g.placed.Group, g.placed.Members, members)
		g.placed.Members, g.placed.Version = members, g.placed.Version+1
	}
}

func (w *world) lead() {
	var ls []Leadership
	for _, g := range w.groups {
		ls = append(ls, Leadership{g.placed.Group, g.leader, slices.Clone(g.voters), g.leaderSince})
	}
	if h, due := Leaders(ls, w.list(), w.policy, w.now); due {
		i := slices.IndexFunc(w.groups, func(g *simGroup) bool { return g.placed.Group == h.Group })
		g := w.groups[i]
		if g.leader != h.From || !slices.Contains(g.voters, h.To) {
			w.fail("%+v: %+v", h, g)
		}
		if !w.up(h.To) || g.lag[h.To] >= int(w.policy.CatchUpLag) {
			return // Raft refuses
		}
		g.leader, g.leaderSince = h.To, w.now
		w.steps++
		w.say("handed over %+v", h)
	}
}

func simulate(t *testing.T, seed uint64) {
	w := &world{t: t, rand: rand.New(rand.NewPCG(seed, 1)), now: epoch, policy: Default()}
	w.policy.DeadAfter, w.policy.StableFor = 90*time.Second, 20*time.Second
	if seed%3 == 2 {
		w.policy.Replication = 5
	}
	w.join()
	for g := range rookery.GroupID(5) {
		w.groups = append(w.groups, &simGroup{placed: Placement{Group: g + 1, Members: set("a"), Version: 1}, voters: set("a"),
			lag: map[rookery.NodeID]int{"a": 0}})
	}
	for range 20 {
		w.round()
	}
	w.join()
	w.join()
	gap := 10 + w.rand.IntN(120)
	for range 4000 {
		w.round()
		if w.rand.IntN(gap) == 0 {
			w.event()
		}
	}
	for _, n := range w.nodes {
		if n.State == Draining {
			n.State = Active
		}
		w.set(n, true)
	}
	w.say("quiet")
	for range 3000 {
		w.round()
	}
	moves, steps := w.moves, w.steps
	for range 500 {
		w.round()
	}
	if moves != w.moves || steps != w.steps {
		w.fail("never comes to rest: %d moves, %d steps", w.moves-moves, w.steps-steps)
	}
	w.rest()
}

// rest checks a cluster that had time enough.
func (w *world) rest() {
	var active []rookery.NodeID
	for _, n := range w.nodes {
		if n.State == Active {
			active = append(active, n.ID)
		}
	}
	load, leads := map[rookery.NodeID]int{}, map[rookery.NodeID]int{}
	for _, g := range w.groups {
		size := w.policy.size(g.placed.Group)
		if len(active) < size {
			size = max(odd(len(active)), min(2, len(active)))
		}
		// One that votes alone, or two that do, are as said in the package doc.
		if len(g.placed.Members) != size || !g.placed.Settled() || g.leader == "" || len(without(g.voters, g.placed.Members)) > 0 {
			w.fail("group %d rests on %v (%v+%v led by %q) with %v active", g.placed.Group, g.placed.Members, g.voters, g.learners, g.leader, active)
		}
		if size != 2 && len(g.voters) != size {
			w.fail("group %d has the votes %v of %v", g.placed.Group, g.voters, g.placed.Members)
		}
		if g.placed.Group == rookery.SystemGroup && len(g.voters)+len(g.learners) != len(active) {
			w.fail("system group rests on %v+%v, not on %v", g.voters, g.learners, active)
		}
		leads[g.leader]++
		for _, id := range g.placed.Members {
			load[id]++
		}
	}
	zones := map[string]bool{}
	for _, id := range active {
		zones[w.node(id).Zone] = true
	}
	low, high, lowLead, highLead := 1<<20, 0, 1<<20, 0
	for _, id := range active {
		low, high = min(low, load[id]), max(high, load[id])
		lowLead, highLead = min(lowLead, leads[id]), max(highLead, leads[id])
	}
	if len(zones) == 1 && high-low > 1 {
		w.fail("uneven load: %v", load)
	}
	if len(active) == 3 && highLead-lowLead > 1 {
		w.fail("uneven leaders: %v", leads)
	}
	if len(zones) == 3 && w.policy.Replication == 3 {
		for _, g := range w.groups {
			in := map[string]bool{}
			for _, id := range g.placed.Members {
				in[w.node(id).Zone] = true
			}
			if len(g.placed.Members) == 3 && len(in) < 3 {
				w.fail("group %d is in %d zones: %v", g.placed.Group, len(in), g.placed.Members)
			}
		}
	}
}

var seeds = flag.Uint64("seeds", 6, "how many random histories to simulate")

func TestSimulation(t *testing.T) {
	for seed := range *seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { simulate(t, seed) })
	}
}

func TestFlappingNodesMoveNothing(t *testing.T) {
	w := &world{t: t, rand: rand.New(rand.NewPCG(1, 1)), now: epoch, policy: Default()}
	for range 5 {
		w.join()
	}
	for g := range rookery.GroupID(5) {
		w.groups = append(w.groups, &simGroup{placed: Placement{Group: g + 1, Members: set("a"), Version: 1}, voters: set("a"),
			lag: map[rookery.NodeID]int{"a": 0}})
	}
	for range 1500 {
		w.round()
	}
	w.rest()
	moves, steps := w.moves, w.steps
	for i := range 3000 {
		if i%40 == 0 {
			w.set(w.nodes[i/40%5], i/200%2 == 0)
		}
		w.round()
	}
	if w.moves != moves || w.steps != steps {
		w.fail("%d moves, %d steps for nodes that come back", w.moves-moves, w.steps-steps)
	}
	// One that stays away is replaced, group by group, each replica once.
	held := 0
	for _, g := range w.groups {
		if slices.Contains(g.placed.Members, "a") {
			held++
		}
	}
	for _, n := range w.nodes {
		w.set(n, n.ID != "a")
	}
	for range 599 {
		w.round()
	}
	if w.moves != moves {
		w.fail("replaced before its time")
	}
	for range 3000 {
		w.round()
	}
	if got := w.moves - moves; got < held || got > held+2 {
		w.fail("%d replicas moved for %d lost", got, held)
	}
}
