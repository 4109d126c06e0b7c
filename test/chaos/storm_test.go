package chaos

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestStorm breaks the nodes in every way at hand while clients work through
// all of them and operators go about their business, and checks every history.
// CHAOS_TIME says for how long, CHAOS_NODES with how many nodes, three or five;
// ROOKERY_SEED repeats the order and the lengths of the faults.
func TestStorm(t *testing.T) {
	if !inside(t) {
		return
	}
	span := duration(t, "CHAOS_TIME", 50*time.Second)
	seed := uint64(number(t, "ROOKERY_SEED", int(time.Now().UnixNano()&0x7fffffff)))
	nodes := number(t, "CHAOS_NODES", 3)
	t.Logf("ROOKERY_SEED=%d CHAOS_TIME=%v CHAOS_NODES=%d", seed, span, nodes)
	s := raise(t, seed, span, build{nodes: nodes, short: true})
	s.run(t, span, seed, 6, s.breakThings, s.operate, s.moveAccounts, s.replaceNodes, s.watchPacks)
	s.final(t)
	s.countReads(t)
	s.report(t)
}

func duration(t *testing.T, env string, def time.Duration) time.Duration {
	t.Helper()
	v := os.Getenv(env)
	if v == "" {
		return def
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		t.Fatalf("%s=%q: write it like 30m", env, v)
	}
	return d
}

func cellLogin(i int) string { return fmt.Sprintf("cell%d", i) }

func raise(t *testing.T, seed uint64, span time.Duration, b build) *storm {
	t.Helper()
	users := slices.Clone(keepers)
	for i := range 50 + int(span/(1500*time.Millisecond)) {
		users = append(users, cellLogin(i))
	}
	return newStorm(newSite(t, seed, users, b), seed)
}

// A cell's clients work for cellSpan; where a broken promise is to be found
// soon, for brokenSpan.
const (
	cellSpan   = 15 * time.Second
	brokenSpan = 6 * time.Second
)

// run keeps some cells and senders going, with disturbances beside them.
func (s *storm) run(t *testing.T, span time.Duration, seed uint64, cells int, disturb ...func(context.Context)) {
	ctx, cancel := context.WithTimeout(t.Context(), span)
	defer cancel()
	var lanes, all, load sync.WaitGroup
	posting, stop := context.WithCancel(t.Context())
	for n := range s.site.size {
		load.Go(func() { s.post(posting, n, rand.New(rand.NewPCG(seed, uint64(1000+n)))) })
	}
	var mu sync.Mutex
	next := 0
	for lane := range cells {
		lanes.Go(func() {
			for ctx.Err() == nil && !s.failed() {
				mu.Lock()
				c := &cell{login: cellLogin(next), storm: s, base: next}
				next++
				mine := seed + uint64(next)
				mu.Unlock()
				s.mu.Lock()
				s.cells = append(s.cells, c)
				s.mu.Unlock()
				length := s.life
				if lane%2 == 1 {
					length += time.Duration(lane) * time.Second
				}
				c.live(ctx, length, mine)
			}
		})
	}
	for _, f := range disturb {
		all.Go(func() { f(ctx) })
	}
	lanes.Wait()
	cancel() // a disturbance need not go on once something was found
	all.Wait()
	stop()
	load.Wait()
}

// breakThings is the schedule of faults: which, when, how long is the seed's;
// which node is the leader is the run's.
func (s *storm) breakThings(ctx context.Context) {
	rnd := rand.New(rand.NewPCG(s.seed, 5))
	kinds := faults()
	if s.site.store != nil {
		kinds = append(kinds, storeFaults()...)
	}
	var order []int
	next := func() fault {
		if len(order) == 0 {
			order = rnd.Perm(len(kinds)) // each kind comes before one comes again
		}
		f := kinds[order[0]]
		order = order[1:]
		return f
	}
	for ctx.Err() == nil && !s.failed() {
		now := []fault{next()}
		// Every third time two nodes are broken at once: a majority is away
		// until the first of them is back.
		if two := rnd.IntN(3) == 0; two && !now[0].alone {
			if len(order) > 0 && !kinds[order[0]].alone {
				now = append(now, next())
			}
		}
		gap := some(rnd, 500*time.Millisecond, 4*time.Second)
		var names []string
		for _, f := range now {
			names = append(names, f.name)
		}
		s.mu.Lock()
		s.now = strings.Join(names, " and ")
		for _, n := range names {
			s.faults[n]++
		}
		if len(now) > 1 {
			s.pairs++
		}
		s.mu.Unlock()
		s.logf("%s", s.now)
		var broken sync.WaitGroup
		for _, f := range now {
			mine := rand.New(rand.NewPCG(rnd.Uint64(), 1))
			broken.Go(func() {
				if err := f.do(s.site, mine); err != nil {
					s.fail([]string{f.name + ": " + err.Error()})
				}
			})
		}
		broken.Wait()
		pause(ctx, gap)
	}
}

// countReads asks what the nodes fetched from packs. A body that no copy had is
// lost, whether or not a client asked for it.
func (s *storm) countReads(t *testing.T) {
	for _, k := range s.site.members() {
		r, err := s.site.status(k)
		if err != nil || r.Reads.Lost > 0 {
			t.Errorf("%s: %v: bodies that no copy had: %+v", space(k), err, r.Reads)
		}
		s.mu.Lock()
		s.gets += r.Reads.Gets
		s.mu.Unlock()
	}
}

// final reads every growing mailbox through every node.
func (s *storm) final(t *testing.T) {
	t.Helper()
	if err := s.site.settled(2 * time.Minute); err != nil {
		t.Error(err)
	}
	if err := s.calmed(t.Context(), 3*time.Minute); err != nil {
		t.Error(err)
	}
	for n := range s.site.members() {
		host := clientIP(s.site.place(n)) + ":993"
		boxes, validity := map[string]map[uint32]string{}, map[string]uint32{}
		var last error
		deadline := time.Now().Add(finalWithin)
		for {
			for _, u := range keepers {
				v, box, err := inbox(host, anyone, u+"@example.test", password)
				if last = err; err != nil {
					break
				}
				boxes[u], validity[u] = box, v
			}
			if last == nil && len(s.ledger.missing(boxes)) == 0 || time.Now().After(deadline) {
				break
			}
			pause(t.Context(), 300*time.Millisecond)
		}
		if lost := s.ledger.missing(boxes); len(lost) > 0 || last != nil {
			t.Errorf("node %d: %d acknowledged messages are missing (%v): %.500v", n+1, len(lost), last, lost)
			continue
		}
		for u, box := range boxes {
			for _, wrong := range s.ledger.observe(u, validity[u], box) {
				t.Errorf("node %d: %s", n+1, wrong)
			}
			read, wrong, err := s.everyText(clientIP(s.site.place(n)), u)
			if len(wrong) > 0 || err != nil {
				t.Errorf("node %d: %d wrong texts of %s (%v): %.500v", n+1, len(wrong), u, err, wrong)
			}
			s.mu.Lock()
			s.texts += read
			s.mu.Unlock()
		}
	}
}

func (s *storm) report(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	acked, open := s.ledger.counts()
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, %v\nfaults:", s.seed, time.Since(s.start).Round(time.Second))
	for _, k := range slices.Sorted(maps.Keys(s.faults)) {
		fmt.Fprintf(&b, " %s %d,", k, s.faults[k])
	}
	fmt.Fprintf(&b, " of them two at once: %d times", s.pairs)
	s.actions.report(&b)
	fmt.Fprintf(&b, "\noperations (ok / no / unknown):")
	for _, k := range slices.Sorted(maps.Keys(s.outcomes)) {
		o := s.outcomes[k]
		fmt.Fprintf(&b, "\n  %-16s %6d / %d / %d", k, o["ok"], o["no"], o["unknown"])
	}
	fmt.Fprintf(&b, "\nhistories checked: %d with %d operations, %d without a known end; %d not decided in 20 s", s.histories,
		s.operations, s.doubts, s.undecided)
	fmt.Fprintf(&b, "\nledger: %d acknowledged, %d unanswered, read through every node, %d texts compared", acked, open, s.texts)
	fmt.Fprintf(&b, "\nlongest time without an accepted message: %v (%s); packets dropped: %d", s.longest.Round(time.Millisecond),
		s.longestAt, s.site.fabric.lost)
	all, gone := s.packed()
	fmt.Fprintf(&b, "\npacks: %d, of them deleted %d; requests for bodies in the store by the nodes of the end: %d", all, gone, s.gets)
	s.site.mu.Lock()
	fmt.Fprintf(&b, "\nnodes ended by a full or stuck disk, and started again: %d", s.site.disks)
	for _, e := range s.site.ended {
		t.Error(e)
	}
	s.site.mu.Unlock()
	t.Log(b.String())
	for _, w := range s.wrong {
		t.Error(w)
	}
	if s.histories == s.undecided || acked == 0 {
		t.Error("nothing was checked")
	}
}

// mutantSpan is how long a mutant may hide; it is seen within seconds where
// the machine has little else to do.
const mutantSpan = 6 * time.Minute

// mutant runs a binary that breaks a promise until the checker sees it.
func mutant(t *testing.T, name string, disturb func(ctx context.Context, s *storm)) {
	t.Helper()
	if !inside(t) {
		return
	}
	const seed = 11
	s := raise(t, seed, mutantSpan, build{mutant: name})
	s.patience, s.life = 15*time.Second, brokenSpan
	s.run(t, mutantSpan, seed, 6, func(ctx context.Context) { disturb(ctx, s) })
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.wrong {
		if strings.Contains(w, "not linearizable") || strings.Contains(w, "never seen") {
			t.Logf("caught: %.800s", w)
			return
		}
	}
	t.Fatalf("no history of %d showed the mutant %s: %v", s.histories, name, s.wrong)
}

// Without the read barrier a node shows old mailboxes when packets to it are slow.
func TestMutantWithoutBarrier(t *testing.T) {
	mutant(t, "no-barrier", func(ctx context.Context, s *storm) {
		defer s.site.fabric.add(func(a, b int, l *link) { l.delay = 15 * time.Millisecond })()
		<-ctx.Done()
	})
}

// A leader that commits on its own disk alone loses what it acknowledged while
// it was cut off.
func TestMutantCommitOnOneNode(t *testing.T) {
	mutant(t, "one-node", func(ctx context.Context, s *storm) {
		rnd := rand.New(rand.NewPCG(1, 1))
		for ctx.Err() == nil && !s.failed() {
			k := s.site.victim(rnd)
			mend := s.site.fabric.add(func(a, b int, l *link) { l.cut = a == k || b == k })
			pause(ctx, 2*time.Second)
			mend()
			s.site.spare(k)
			pause(ctx, 2*time.Second)
		}
	})
}
