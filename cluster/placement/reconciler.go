package placement

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"rookery"
)

// View is what a node knows of the cluster. Reads are local and may be a
// little behind.
type View interface {
	// Nodes lists the registry with who is alive; Since is not looked at.
	Nodes(ctx context.Context) ([]Node, error)
	Placements(ctx context.Context) ([]Placement, error)
	// Leaders has the groups whose leader is known.
	Leaders(ctx context.Context) (map[rookery.GroupID]rookery.NodeID, error)
}

// Registry changes the placement. KindConflict means that it changed
// meanwhile, and is no trouble.
type Registry interface {
	Place(ctx context.Context, group rookery.GroupID, members []rookery.NodeID, version uint64) error
	// Confirm records who votes, and if settled that Raft follows version.
	Confirm(ctx context.Context, group rookery.GroupID, version uint64, voters []rookery.NodeID, settled bool) error
}

// Groups acts on the groups of this node. Methods are called for several
// groups at once.
type Groups interface {
	// Led lists the groups this node leads.
	Led() []rookery.GroupID
	// State is a group this node leads, Progress with those that answer for
	// the group now; Progress.Since is not looked at.
	State(ctx context.Context, group rookery.GroupID) (State, error)
	// Do takes one action and returns when it has been committed or failed.
	Do(ctx context.Context, group rookery.GroupID, a Action) error
}

// Options make a Reconciler.
type Options struct {
	Node     rookery.NodeID
	View     View
	Registry Registry
	Groups   Groups
	// Policy gives the settings in force; nil means Default.
	Policy func() Policy
	// Timeout bounds each action; 0 means 15 s.
	Timeout time.Duration
	Logger  *slog.Logger
}

// Reconciler brings groups to where they should be. Every node runs one: it
// plans if it leads the system group, and acts for the groups it leads.
type Reconciler struct {
	opts Options
	wake chan struct{}

	nodes     seen[rookery.NodeID, bool]
	leaders   seen[rookery.GroupID, rookery.NodeID]
	answering seen[member, bool]
	tried     map[rookery.GroupID]time.Time // transfers
}

// retryTransfer is how long a group that could not be handed over is left
// alone.
const retryTransfer = 10 * time.Second

type member struct {
	group rookery.GroupID
	node  rookery.NodeID
}

// New makes a Reconciler; Run starts it.
func New(o Options) *Reconciler {
	if o.Policy == nil {
		o.Policy = Default
	}
	if o.Timeout == 0 {
		o.Timeout = 15 * time.Second
	}
	return &Reconciler{opts: o, wake: make(chan struct{}, 1), tried: map[rookery.GroupID]time.Time{}}
}

// Run reconciles every interval, and when woken, until ctx ends; it returns
// the cause.
func (r *Reconciler) Run(ctx context.Context, interval time.Duration) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := r.tick(ctx); err != nil && ctx.Err() == nil {
			r.opts.Logger.Warn("cannot reconcile the placement of groups now", "error", err)
		}
		select { // steps follow each other quickly, but never in a tight loop
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(interval / 10):
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		case <-r.wake:
		}
	}
}

// Wake has Run look at once; it never blocks.
func (r *Reconciler) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// tick looks once and takes at most one step a group.
func (r *Reconciler) tick(ctx context.Context) error {
	now, policy := time.Now(), r.opts.Policy()
	nodes, err := r.opts.View.Nodes(ctx)
	if err != nil {
		return err
	}
	nodes = slices.Clone(nodes)
	alive := map[rookery.NodeID]bool{}
	for _, n := range nodes {
		alive[n.ID] = n.Alive
	}
	r.nodes.look(alive, now)
	for i := range nodes {
		nodes[i].Since = r.nodes.since(nodes[i].ID)
	}
	placements, err := r.opts.View.Placements(ctx)
	if err != nil {
		return err
	}
	leaders, err := r.opts.View.Leaders(ctx)
	if err != nil {
		return err
	}
	r.leaders.look(leaders, now)

	led := r.opts.Groups.Led()
	r.step(ctx, led, nodes, placements, policy, now)
	if slices.Contains(led, rookery.SystemGroup) {
		r.plan(ctx, nodes, placements, policy, now)
	}
	r.lead(ctx, led, nodes, placements, policy, now)
	return nil
}

// step takes one step in each group led.
func (r *Reconciler) step(ctx context.Context, led []rookery.GroupID, nodes []Node, placements []Placement, policy Policy, now time.Time) {
	states := make([]State, len(led))
	var all sync.WaitGroup
	for i, group := range led {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
			defer cancel()
			var err error
			if states[i], err = r.opts.Groups.State(ctx, group); err != nil {
				states[i] = State{}
				r.opts.Logger.Debug("cannot read a group's state", "group", group, "error", err)
			}
		})
	}
	all.Wait()
	answering := map[member]bool{}
	for i, s := range states {
		for id := range s.Progress {
			answering[member{led[i], id}] = true
		}
	}
	r.answering.look(answering, now)
	for i, group := range led {
		at := slices.IndexFunc(placements, func(p Placement) bool { return p.Group == group })
		if at < 0 || states[i].Leader == "" {
			continue
		}
		s := states[i]
		s.Progress = r.progress(group, s, nodes)
		all.Go(func() { r.act(ctx, s, placements[at], target(placements[at], nodes), policy, now) })
	}
	all.Wait()
}

// progress is the group's, with since when, and with the live nodes that are
// no members yet. A node that answers for the group but is not alive for the
// cluster's eyes counts: the group's own word is fresher.
func (r *Reconciler) progress(group rookery.GroupID, s State, nodes []Node) map[rookery.NodeID]Progress {
	out := make(map[rookery.NodeID]Progress, len(nodes))
	for _, n := range nodes {
		if n.Alive && n.State != Removed && !s.member(n.ID) {
			out[n.ID] = Progress{Since: n.Since}
		}
	}
	for id, at := range s.Progress {
		if s.member(id) {
			out[id] = Progress{Applied: at.Applied, Since: r.answering.since(member{group, id})}
		}
	}
	return out
}

// target is a placement, and learners of the system group everywhere.
func target(p Placement, nodes []Node) Target {
	t := Target{Voters: p.Members}
	if p.Group == rookery.SystemGroup {
		for _, n := range nodes {
			if n.State != Removed && !slices.Contains(p.Members, n.ID) {
				t.Learners = append(t.Learners, n.ID)
			}
		}
	}
	return t
}

func (r *Reconciler) act(ctx context.Context, s State, at Placement, want Target, policy Policy, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	voters := slices.Sorted(slices.Values(s.Voters))
	a := Step(s, want, policy, now)
	if a.changesVotes(s) && !slices.Equal(voters, at.Voters) {
		// The registry never lags more than one change of the votes: by it a
		// removal knows whom a majority needs.
		err := r.opts.Registry.Confirm(ctx, at.Group, at.Version, voters, false)
		if err == nil {
			r.Wake()
		}
		r.report(err, "cannot record a group's votes now", at.Group)
		return
	}
	if a.Kind != None {
		if err := r.opts.Groups.Do(ctx, at.Group, a); err != nil {
			r.opts.Logger.Warn("cannot change a group's members now", "group", at.Group, "action", a.String(), "error", err)
			return
		}
		r.opts.Logger.Info("changed a group's members", "group", at.Group, "action", a.String())
		r.Wake()
		return
	}
	if !Settled(s, want) || at.Settled() && slices.Equal(voters, at.Voters) {
		return
	}
	r.report(r.opts.Registry.Confirm(ctx, at.Group, at.Version, voters, true), "cannot confirm a group's placement now", at.Group)
}

// plan proposes what should be.
func (r *Reconciler) plan(ctx context.Context, nodes []Node, placements []Placement, policy Policy, now time.Time) {
	want := Desired(nodes, placements, policy, now)
	for _, p := range placements {
		members := want[p.Group]
		if len(members) == 0 || slices.Equal(members, slices.Sorted(slices.Values(p.Members))) {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
		err := r.opts.Registry.Place(ctx, p.Group, members, p.Version)
		cancel()
		if err == nil {
			r.opts.Logger.Info("placed a group", "group", p.Group, "from", p.Members, "to", members)
			r.Wake()
		}
		r.report(err, "cannot place a group now", p.Group)
	}
}

// lead hands over the group whose turn it is, if this node leads it.
func (r *Reconciler) lead(ctx context.Context, led []rookery.GroupID, nodes []Node, placements []Placement, policy Policy, now time.Time) {
	var groups []Leadership
	for _, p := range placements {
		l := Leadership{Group: p.Group, Leader: r.leaders.value(p.Group), Voters: p.Votes(), Since: r.leaders.since(p.Group)}
		if !p.Settled() || now.Sub(r.tried[p.Group]) < policy.StableFor {
			l.Since = now // spreading can wait; draining does not look at it
		}
		if now.Sub(r.tried[p.Group]) < retryTransfer {
			l.Voters = nil // the others get their turn
		}
		groups = append(groups, l)
	}
	h, due := Leaders(groups, nodes, policy, now)
	if !due || h.From != r.opts.Node || !slices.Contains(led, h.Group) {
		return
	}
	r.tried[h.Group] = now
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	if err := r.opts.Groups.Do(ctx, h.Group, Action{Transfer, h.To}); err != nil {
		r.opts.Logger.Warn("cannot hand over a group now", "group", h.Group, "to", h.To, "error", err)
		return
	}
	r.opts.Logger.Info("handed over a group", "group", h.Group, "to", h.To)
}

func (r *Reconciler) report(err error, text string, group rookery.GroupID) {
	if err != nil && !rookery.Is(err, rookery.KindConflict) && !errors.Is(err, context.Canceled) {
		r.opts.Logger.Warn(text, "group", group, "error", err)
	}
}

// seen remembers since when things are what they are.
type seen[K, V comparable] struct{ at map[K]sighting[V] }

type sighting[V any] struct {
	value V
	since time.Time
}

// look takes the present values; what is absent is forgotten.
func (s *seen[K, V]) look(values map[K]V, now time.Time) {
	if s.at == nil {
		s.at = map[K]sighting[V]{}
	}
	maps.DeleteFunc(s.at, func(k K, _ sighting[V]) bool { _, there := values[k]; return !there })
	for k, v := range values {
		if old, known := s.at[k]; !known || old.value != v {
			s.at[k] = sighting[V]{v, now}
		}
	}
}

func (s *seen[K, V]) since(k K) time.Time { return s.at[k].since }

func (s *seen[K, V]) value(k K) V { return s.at[k].value }
