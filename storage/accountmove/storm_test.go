package accountmove_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rookery"
	"rookery/storage/account/accounttest"
	"rookery/storage/accountmove"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/state"
	"rookery/storage/state/statetest"
	"rookery/storage/system"
	"rookery/storage/uidset"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "seed of the random commands; 0 takes the clock's")
	stepsFlag = flag.Int("steps", 700, "random steps to run")
)

// storm moves accounts between two groups while clients change them, with
// coordinators that die at every command and whose last commands arrive late.
// A group in which nothing moves gets the same commands: every row of every
// account must be the same in both.
type storm struct {
	*testing.T
	rng    *rand.Rand
	n      *accounttest.Node // the two groups
	ref    *accounttest.Node // the one
	now    time.Time
	ids    []rookery.AccountID
	known  map[rookery.AccountID]rookery.GroupID // as a client that heard last has it
	fate   chan fate
	late   []lateCommand
	stop   context.CancelFunc // of the coordinator that runs
	over   chan struct{}      // closed when it has ended
	mails  int
	moves  map[string]int
	debug  bool
	movers int
	owed   []*command.Deliver // of items, to be sent again
}

// fate is what becomes of a coordinator's command.
type fate int

const (
	applied fate = iota
	lostBefore
	lostAfter
	dies  // with the command never sent
	delay // dies, and the command arrives later
)

type lateCommand struct {
	group rookery.GroupID
	cmd   []byte
}

// wire is the road of the coordinators.
type wire struct {
	*accounttest.Node
	s *storm
}

func (w wire) Apply(ctx context.Context, group rookery.GroupID, cmd []byte) (rookery.LogIndex, []byte, error) {
	if ctx.Err() != nil {
		return 0, nil, rookery.E("apply", rookery.KindUnknown, ctx.Err())
	}
	if c, _, err := command.Decode(cmd); err == nil {
		if a, ok := c.(*command.AbandonMove); ok && strings.Contains(a.Reason, "contents differ") {
			w.s.Errorf("a copy is not what the source has: %s", a.Reason)
		}
	}
	var f fate
	select {
	case f = <-w.s.fate:
	case <-ctx.Done():
		return 0, nil, rookery.E("apply", rookery.KindUnknown, ctx.Err())
	}
	switch f {
	case lostBefore:
		return 0, nil, rookery.E("apply", rookery.KindUnavailable, errors.New("lost"))
	case dies, delay:
		if f == delay {
			w.s.late = append(w.s.late, lateCommand{group, bytes.Clone(cmd)})
		}
		w.s.stop()
		return 0, nil, rookery.E("apply", rookery.KindUnknown, errors.New("dead"))
	}
	index, answer, err := w.Node.Apply(ctx, group, cmd)
	if f == lostAfter {
		return 0, nil, rookery.E("apply", rookery.KindUnknown, errors.New("answer lost"))
	}
	return index, answer, err
}

func TestMovesChangeNothing(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with -seed=%d -steps=%d", seed, *stepsFlag)
	synctest.Test(t, func(t *testing.T) {
		s := &storm{T: t, rng: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_800_000_000, 0), known: map[rookery.AccountID]rookery.GroupID{},
			fate: make(chan fate), moves: map[string]int{}}
		clock := func() time.Time { return s.now }
		s.n = accounttest.Open(t, accounttest.Options{Clock: clock})
		s.ref = accounttest.Open(t, accounttest.Options{Groups: []rookery.GroupID{4}, Clock: clock})
		s.begin()
		for step := range *stepsFlag {
			s.step()
			if t.Failed() {
				t.Fatalf("at step %d", step)
			}
		}
		s.calm()
		s.compare()
		s.replicas()
		s.nothingIsLeft()
		t.Logf("moves: %v", s.moves)
		if s.moves["switched"] == 0 {
			t.Error("no move was made: the test proves nothing")
		}
	})
}

func (s *storm) begin() {
	s.system(&command.RegisterNode{Node: "test", Name: "test", Address: "h:1", Version: command.Version})
	for _, g := range s.n.Groups {
		s.system(&command.CreateGroup{Group: g, Members: []rookery.NodeID{"test"}})
		s.system(&command.ConfirmGroup{Group: g, Version: 1, Voters: []rookery.NodeID{"test"}})
	}
	for i := range 3 {
		id := rookery.AccountID{0xaa, byte(i)}
		s.ids = append(s.ids, id)
		g := s.n.Groups[i%2]
		s.known[id] = g
		s.system(&command.EnsureAccount{DirectoryKey: fmt.Sprintf("d/%d", i), Account: id, Group: g})
		c := &command.CreateAccount{Account: id, Key: []byte("key"), Quota: 1 << 20, Roles: command.DefaultRoles(), Validity: 100}
		s.tick()
		if err := s.n.Propose(s.Context(), g, c); err != nil {
			s.Fatal(err)
		}
		if err := s.ref.Propose(s.Context(), 4, c); err != nil {
			s.Fatal(err)
		}
	}
}

func (s *storm) system(c command.Command) {
	s.Helper()
	if err := s.n.Propose(s.Context(), rookery.SystemGroup, c); err != nil {
		s.Fatal(err)
	}
}

func (s *storm) tick() { s.now = s.now.Add(time.Second) }

// where is an account's group by the map.
func (s *storm) where(id rookery.AccountID) rookery.GroupID {
	p, err := s.n.System.Account(id)
	if err != nil {
		s.Fatal(err)
	}
	return p.Group
}

func (s *storm) step() {
	switch n := s.rng.IntN(100); {
	case n < 45:
		s.client()
	case n < 90:
		s.coordinator(s.chance())
	case n < 94 && len(s.late) > 0:
		i := s.rng.IntN(len(s.late))
		l := s.late[i]
		s.late = append(s.late[:i], s.late[i+1:]...)
		s.n.Apply(s.Context(), l.group, l.cmd) // refused or harmless
	case n < 97:
		s.beginMove()
	case n < 98:
		moves, _ := s.n.System.Moves()
		if len(moves) > 0 && s.rng.IntN(4) == 0 {
			x := moves[s.rng.IntN(len(moves))]
			if s.n.Propose(s.Context(), rookery.SystemGroup, &command.AbandonMove{Account: x.Account, Move: x.Move, Reason: "operator"}) == nil {
				s.moves["abandoned"]++
			}
		}
	default:
		s.compare()
	}
}

func (s *storm) chance() fate {
	switch n := s.rng.IntN(60); {
	case n == 0:
		return lostBefore
	case n == 1:
		return lostAfter
	case n == 2:
		return dies
	case n < 5:
		return delay
	}
	return applied
}

func (s *storm) beginMove() {
	id := s.ids[s.rng.IntN(len(s.ids))]
	to := s.n.Groups[0]
	if s.where(id) == to {
		to = s.n.Groups[1]
	}
	err := s.n.Propose(s.Context(), rookery.SystemGroup, &command.BeginMove{Account: id, To: to})
	if err != nil && !rookery.Is(err, rookery.KindConflict) {
		s.Error(err)
	}
}

// coordinator lets a coordinator's next command have its fate; where none
// runs, one begins.
func (s *storm) coordinator(f fate) {
	synctest.Wait()
	select {
	case s.fate <- f:
		synctest.Wait()
		return
	default:
	}
	if s.over != nil {
		s.stop()
		<-s.over
	}
	moves, err := s.n.System.Moves()
	if err != nil || len(moves) == 0 {
		s.over = nil
		return
	}
	x := moves[s.rng.IntN(len(moves))]
	ctx, stop := context.WithCancel(s.Context())
	over := make(chan struct{})
	s.stop, s.over = stop, over
	s.movers++ // each is a life of its own, and numbers its stages from 1
	m := accountmove.New(accountmove.Options{Log: wire{s.n, s}, Machine: s.n.Machine, System: s.n.System, ReadBody: s.n.Bodies.ReadAt,
		Node: rookery.NodeID(fmt.Sprint("mover", s.movers)), Epoch: 1, Frozen: 10 * time.Minute, Clock: func() time.Time { return s.now }})
	if s.rng.IntN(2) == 0 {
		m.Small()
	}
	go func() {
		defer close(over)
		err := m.Run(ctx, x)
		if s.debug {
			s.Logf("run %+v: %v", x, err)
		}
		switch {
		case err == nil && x.State != system.MoveAbandoned:
			s.moves["switched"]++
		case err != nil && !rookery.Is(err, rookery.KindUnknown) && !rookery.Is(err, rookery.KindUnavailable) &&
			!rookery.Is(err, rookery.KindConflict) && !rookery.Is(err, rookery.KindNotFound):
			s.Errorf("move %+v: %v", x, err)
		}
	}()
	synctest.Wait()
}

// calm lets everything end.
func (s *storm) calm() {
	for n := 0; ; n++ {
		s.debug = n > 19500
		if n > 20000 {
			s.Fatal("the moves do not end")
		}
		moves, err := s.n.System.Moves()
		if err != nil {
			s.Fatal(err)
		}
		if len(moves) == 0 {
			synctest.Wait()
			break
		}
		s.coordinator(applied)
	}
	if s.over != nil {
		s.stop()
		<-s.over
	}
	for _, l := range s.late {
		s.n.Apply(s.Context(), l.group, l.cmd)
	}
	for _, g := range s.n.Groups {
		all, err := s.n.Machine(g).Moving()
		if err != nil || len(all) > 0 {
			s.Fatalf("group %d still moves %+v %v", g, all, err)
		}
	}
}

// send has the groups of the accounts do a client's command, which the one
// group then does as well. Where an account is on its way the client waits.
func (s *storm) send(c command.Command, ids ...rookery.AccountID) {
	s.Helper()
	for tries := 0; ; tries++ {
		group := s.known[ids[0]]
		got, err := s.propose(s.n, group, c)
		if rookery.Is(err, rookery.KindMoved) {
			if tries > 3000 {
				s.Fatalf("%T %+v: out of service for ever", c, c)
			}
			if at := s.where(ids[0]); at != group {
				s.known[ids[0]] = at
				s.tick()
				continue
			}
			s.coordinator(applied)
			s.tick() // both groups give the command this time
			continue
		}
		want, werr := s.propose(s.ref, 4, c)
		if rookery.KindOf(err) != rookery.KindOf(werr) {
			s.Errorf("%T %+v in group %d: %v, without moves %v", c, c, group, err, werr)
		}
		if d := cmp.Diff(want, got, cmp.Comparer(func(a, b uidset.Set) bool { return a.Equal(b) }),
			cmpopts.IgnoreFields(command.DeliverResult{}, "Body")); d != "" {
			s.Errorf("%T %+v: %s", c, c, d)
		}
		return
	}
}

// propose gives a command its time: the same in both.
func (s *storm) propose(n *accounttest.Node, group rookery.GroupID, c command.Command) (command.Result, error) {
	_, answer, err := n.Apply(s.Context(), group, command.Encode(c))
	if err == nil {
		err = state.ResultError("apply", answer)
	}
	if err != nil {
		return nil, err
	}
	return command.DecodeResult(command.TypeOf(c), state.DecodeResult(answer).Value)
}

// rows are all rows of an account.
func (s *storm) rows(n *accounttest.Node, group rookery.GroupID, id rookery.AccountID) map[string]string {
	x := n.Machine(group).Export(id)
	defer x.Close()
	out := map[string]string{}
	for after := []byte(nil); ; {
		rows, err := x.Rows(after, 1<<20)
		if err != nil {
			s.Fatal(err)
		}
		if len(rows) == 0 {
			return out
		}
		for _, r := range rows {
			out[string(r.Key)], after = string(r.Value), r.Key
		}
	}
}

// compare holds every account that serves against the one that never moved,
// and reads some bodies.
func (s *storm) compare() {
	s.Helper()
	for _, id := range s.ids {
		group := s.where(id)
		v, err := s.n.Machine(group).View(id)
		if rookery.Is(err, rookery.KindMoved) {
			continue
		}
		if err != nil {
			s.Fatal(err)
		}
		w, err := s.ref.Machine(4).View(id)
		if err != nil {
			s.Fatal(err)
		}
		if d := cmp.Diff(w.Account(), v.Account()); d != "" {
			s.Errorf("account %s: %s", id, d)
		}
		if d := cmp.Diff(s.rows(s.ref, 4, id), s.rows(s.n, group, id)); d != "" {
			s.Errorf("rows of account %s in group %d: %s", id, group, d)
		}
		s.compareBodies(v, w, group)
		v.Close()
		w.Close()
	}
}

func (s *storm) compareBodies(v, w *mailbox.View, group rookery.GroupID) {
	s.Helper()
	var emails []rookery.EmailID
	if err := v.Rows(mailbox.Inbox, 1, 1<<31, func(r mailbox.Row) bool {
		if s.rng.IntN(4) == 0 {
			emails = append(emails, r.Email)
		}
		return true
	}); err != nil {
		s.Fatal(err)
	}
	for _, id := range emails {
		got, want := s.content(s.n, group, v, id), s.content(s.ref, 4, w, id)
		if d := cmp.Diff(want, got); d != "" {
			s.Errorf("content of %s: %s", id, d)
		}
	}
}

type content struct {
	Key, Extract, Layout, Bytes []byte
	Size                        int64
	Arrived                     int64 // seconds: groups differ in less
}

func (s *storm) content(n *accounttest.Node, group rookery.GroupID, v *mailbox.View, id rookery.EmailID) content {
	e, err := v.Email(id)
	if err != nil {
		s.Fatal(err)
	}
	b, err := v.Body(e.Body)
	if err != nil {
		s.Fatal(err)
	}
	p := make([]byte, b.Encoded)
	if err := n.Bodies.ReadAt(s.Context(), group, b, p, 0); err != nil {
		s.Fatal(err)
	}
	return content{e.Key, e.Extract, b.Layout, p, e.Size, b.Arrived / 1e9}
}

// replicas replays each group's log elsewhere, in batches of other sizes and
// with restores between: every row must be the same.
func (s *storm) replicas() {
	store := statetest.Open(s)
	for _, id := range s.n.Groups {
		g, err := store.Group(id, func(g *state.Group) state.Machine { return mailbox.New(nil)(g) })
		if err != nil {
			s.Fatal(err)
		}
		entries := s.n.Entries(id)
		for at := 0; at < len(entries); {
			n := min(1+s.rng.IntN(30), len(entries)-at)
			batch := make([]rookery.Entry, n)
			for i := range batch {
				batch[i] = rookery.Entry{Index: rookery.LogIndex(at + i + 1), Term: 1, Data: entries[at+i]}
			}
			g.Apply(batch)
			if at += n; s.rng.IntN(20) == 0 {
				s.restore(g)
			}
		}
		var want, got bytes.Buffer
		s.image(s.n.State(id), &want)
		s.image(g, &got)
		if !bytes.Equal(want.Bytes(), got.Bytes()) {
			s.Errorf("a replica of group %d differs", id)
		}
	}
}

func (s *storm) image(g *state.Group, b *bytes.Buffer) {
	x, err := g.Snapshot()
	if err != nil {
		s.Fatal(err)
	}
	defer x.Close()
	if _, err := x.WriteTo(b); err != nil {
		s.Fatal(err)
	}
}

func (s *storm) restore(g *state.Group) {
	var b bytes.Buffer
	s.image(g, &b)
	if err := g.Restore(&b); err != nil {
		s.Fatal(err)
	}
}

// nothingIsLeft erases every account: no body may be held by anybody then, in
// either group.
func (s *storm) nothingIsLeft() {
	for _, id := range s.ids {
		s.send(&command.EraseAccount{Account: id}, id)
	}
	for _, g := range s.n.Groups {
		for _, id := range s.ids {
			for more := true; more; {
				r, err := s.propose(s.n, g, &command.PurgeExpunged{Account: id})
				if err != nil {
					s.Fatal(err)
				}
				more = r.(*command.PurgeResult).More
			}
		}
		if bodies, _, err := s.n.Machine(g).UnpackedBytes(); err != nil || bodies > 0 {
			s.Errorf("group %d holds %d bodies of nobody: %v", g, bodies, err)
		}
		if ids, err := s.n.Machine(g).Filed(command.ItemID{}, 10); err != nil || len(ids) > 0 {
			s.Errorf("group %d keeps marks of %d items for nobody: %v", g, len(ids), err)
		}
	}
}
