package placement

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rookery"
)

// fake is a cluster whose groups are all led by one node.
type fake struct {
	mu     sync.Mutex
	nodes  []Node
	groups map[rookery.GroupID]*fakeGroup
	ticks  int
	fail   error // of Do
	done   []string
	places int
}

type fakeGroup struct {
	placed           Placement
	leader           rookery.NodeID
	voters, learners []rookery.NodeID
}

func newFake() *fake {
	f := &fake{groups: map[rookery.GroupID]*fakeGroup{}, nodes: cluster("a")}
	for g := rookery.GroupID(1); g < 4; g++ {
		f.groups[g] = &fakeGroup{placed: Placement{Group: g, Members: set("a"), Version: 1}, leader: "a", voters: set("a")}
	}
	return f
}

func (f *fake) Nodes(context.Context) ([]Node, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ticks++
	return slices.Clone(f.nodes), nil
}

func (f *fake) Placements(context.Context) (ps []Placement, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for g := rookery.GroupID(1); g < 4; g++ {
		ps = append(ps, f.groups[g].placed)
	}
	return ps, nil
}

func (f *fake) Leaders(context.Context) (map[rookery.GroupID]rookery.NodeID, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	leaders := map[rookery.GroupID]rookery.NodeID{}
	for id, g := range f.groups {
		leaders[id] = g.leader
	}
	return leaders, nil
}

func (f *fake) Place(_ context.Context, group rookery.GroupID, members []rookery.NodeID, version uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.groups[group]
	if g.placed.Version != version {
		return rookery.E("place", rookery.KindConflict, errors.New("late"))
	}
	f.places++
	g.placed.Members, g.placed.Version = members, version+1
	return nil
}

func (f *fake) Confirm(_ context.Context, group rookery.GroupID, version uint64, voters []rookery.NodeID, settled bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.groups[group]
	if g.placed.Voters = voters; settled {
		g.placed.Confirmed = version
	}
	return nil
}

func (f *fake) State(_ context.Context, group rookery.GroupID) (State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.groups[group]
	s := State{Leader: g.leader, Last: 10, Voters: slices.Clone(g.voters), Learners: slices.Clone(g.learners),
		Progress: map[rookery.NodeID]Progress{}}
	for _, n := range f.nodes {
		if n.Alive && s.member(n.ID) {
			s.Progress[n.ID] = Progress{Applied: 10}
		}
	}
	return s, nil
}

func (f *fake) Do(_ context.Context, group rookery.GroupID, a Action) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done = append(f.done, a.String())
	if f.fail != nil {
		return f.fail
	}
	g := f.groups[group]
	if (a.Kind == Promote || a.Kind == Remove && slices.Contains(g.voters, a.Node)) &&
		!slices.Equal(g.placed.Voters, slices.Sorted(slices.Values(g.voters))) {
		return errors.New("votes change behind the registry's back")
	}
	switch a.Kind {
	case AddLearner:
		g.learners = append(g.learners, a.Node)
	case Promote:
		g.learners, g.voters = without(g.learners, []rookery.NodeID{a.Node}), append(g.voters, a.Node)
	case Remove:
		g.learners, g.voters = without(g.learners, []rookery.NodeID{a.Node}), without(g.voters, []rookery.NodeID{a.Node})
	case Transfer:
		g.leader = a.Node
	}
	return nil
}

// one is the fake as one node sees it.
type one struct {
	*fake
	id rookery.NodeID
}

func (o one) Led() (led []rookery.GroupID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for g := rookery.GroupID(1); g < 4; g++ {
		if o.groups[g].leader == o.id && slices.ContainsFunc(o.nodes, func(n Node) bool { return n.ID == o.id && n.Alive }) {
			led = append(led, g)
		}
	}
	return led
}

func (f *fake) run(ctx context.Context, all *sync.WaitGroup, ids string) (rs []*Reconciler) {
	for _, id := range set(ids) {
		r := New(Options{Node: id, View: f, Registry: f, Groups: one{f, id}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
		rs = append(rs, r)
		all.Go(func() { r.Run(ctx, time.Second) })
	}
	return rs
}

func (f *fake) set(nodes string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nodes = cluster(nodes)
}

// wait lets time pass and synchronises with the reconcilers.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestReconcilersGrowSpreadAndReplace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		defer all.Wait()
		defer cancel()
		f := newFake()
		f.run(ctx, &all, "abcd")
		voters := func(want string) {
			t.Helper()
			f.mu.Lock()
			defer f.mu.Unlock()
			for id, g := range f.groups {
				if got := slices.Sorted(slices.Values(g.voters)); !slices.Equal(got, set(want)) || !g.placed.Settled() ||
					!slices.Equal(g.placed.Voters, got) {
					t.Fatalf("group %d has %+v, want the votes %s; done %v", id, *g, want, f.done)
				}
			}
		}
		wait(5 * time.Second)
		voters("a")
		f.set("a b")
		wait(20 * time.Second)
		voters("a") // b follows without a vote
		f.set("a b c")
		wait(10 * time.Second)
		voters("abc")

		wait(4 * time.Minute)
		leads := map[rookery.NodeID]int{}
		for _, g := range f.groups {
			leads[g.leader]++
		}
		if len(leads) != 3 {
			t.Fatalf("leaders do not spread: %v; %v", leads, f.done)
		}
		places := f.places
		wait(time.Minute)
		if f.places != places {
			t.Fatal("placements change for nothing")
		}

		// d joins: it follows the system group, and takes over when c is dead.
		f.set("a b c d")
		wait(5 * time.Second)
		if g := f.groups[1]; !slices.Contains(g.learners, "d") {
			t.Fatalf("d does not follow the system group: %+v", *g)
		}
		for _, g := range f.groups { // c leads nothing, as elections would see to
			f.mu.Lock()
			if g.leader == "c" {
				g.leader = "a"
			}
			f.mu.Unlock()
		}
		f.set("a b c! d")
		wait(9 * time.Minute)
		voters("abc")
		wait(2 * time.Minute)
		voters("abd")
	})
}

func TestFailedActionsAreNotRepeatedInALoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		defer all.Wait()
		defer cancel()
		f := newFake()
		for _, g := range f.groups {
			g.voters, g.placed.Members = set("ab"), set("ab")
		}
		f.fail = errors.New("no quorum")
		f.set("a- b")
		r := f.run(ctx, &all, "a")[0]
		for range 100 {
			r.Wake()
		}
		wait(60 * time.Second)
		f.mu.Lock()
		defer f.mu.Unlock()
		if n := len(f.done); n < 15 || n > 20 { // three groups, every 10 s
			t.Fatalf("%d attempts to hand over: %v", n, f.done)
		}
		if f.ticks > 70 {
			t.Fatalf("%d ticks in a minute", f.ticks)
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("over")
		ctx, cancel := context.WithCancelCause(t.Context())
		f := newFake()
		r := New(Options{Node: "a", View: f, Registry: f, Groups: one{f, "a"}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
		ended := make(chan error)
		go func() { ended <- r.Run(ctx, time.Second) }()
		wait(time.Minute)
		cancel(cause)
		if err := <-ended; err != cause {
			t.Fatal(err)
		}
	})
}
