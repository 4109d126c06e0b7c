package mailbox

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/holds"
	"rookery/storage/uidset"
)

// packName names a pack as the packer does, by time in unix nanoseconds.
func packName(nanos int64, n int) command.PackID {
	ms, b := nanos/1e6, make([]byte, 26)
	for i := 9; i >= 0; i-- {
		b[i] = command.PackIDDigits[ms&31]
		ms >>= 5
	}
	copy(b[10:], fmt.Sprintf("%016d", n))
	return command.PackID(b)
}

func TestPackNamesTellTheirTime(t *testing.T) {
	for _, nanos := range []int64{0, 1e6, 1_700_000_000e9} {
		if got, ok := packName(nanos, 1).Time(); !ok || got != nanos {
			t.Errorf("%d: %d %v", nanos, got, ok)
		}
	}
	for _, bad := range []command.PackID{"", "pack1", packName(0, 1) + "0", "!" + packName(0, 1)[1:], "zzzzzzzzzz0000000000000000"} {
		if got, ok := bad.Time(); ok {
			t.Errorf("%q has time %d", bad, got)
		}
	}
}

func TestHoldsKeepDeadPacks(t *testing.T) {
	f := openFixture(t)
	do[*command.AccountResult](f, &command.CreateAccount{Account: accountID(1), Key: []byte("k"), Roles: command.DefaultRoles()})
	pack := func() command.PackID {
		id := packName(f.clock, int(f.index))
		do[*command.Done](f, &command.Packed{Pack: id, Size: 9})
		return id
	}
	now := func() int64 { return f.m.Time() }
	old := pack()
	do[*command.Done](f, &command.PackDead{Pack: old})
	after := now()
	do[*command.Done](f, &command.Hold{Kind: command.HoldOperator, Name: "case 7", From: after + 1, Reason: "court"})
	do[*command.Done](f, &command.Hold{Kind: command.HoldOperator, Name: "case 7", From: after + 1})
	f.refused(rookery.KindExists, &command.Hold{Kind: command.HoldOperator, Name: "case 7", From: after})
	do[*command.Done](f, &command.PackDeleted{Pack: old}) // it had died before

	young := pack()
	do[*command.Done](f, &command.Hold{Kind: command.HoldRestore, Name: "r1", From: now() + 1e6, To: now() + 1e6})
	do[*command.Done](f, &command.PackDead{Pack: young})
	f.refused(rookery.KindConflict, &command.PackDeleted{Pack: young})
	do[*command.Done](f, &command.Release{Kind: command.HoldOperator, Name: "case 7"})
	f.refused(rookery.KindConflict, &command.PackDeleted{Pack: young}) // the restore point falls into its life
	packs, err := f.m.Packs("", 10)
	if err != nil {
		t.Fatal(err)
	}
	if why, err := f.m.Keeper(packs[1], f.m.Time()); why != "restore point r1" || err != nil {
		t.Errorf("kept by %q, %v", why, err)
	}
	do[*command.Done](f, &command.Release{Kind: command.HoldRestore, Name: "r1"})
	do[*command.Done](f, &command.RestoreWindow{Span: int64(time.Hour)})
	f.refused(rookery.KindConflict, &command.PackDeleted{Pack: young})
	f.clock += int64(time.Hour)
	do[*command.Done](f, &command.PackDeleted{Pack: young})

	for _, bad := range []command.Command{
		&command.Hold{Name: "x"}, &command.Hold{Kind: 9, Name: "x"}, &command.Hold{Kind: command.HoldPin},
		&command.Hold{Kind: command.HoldPin, Name: "x", From: 5, To: 4},
		&command.Hold{Kind: command.HoldPin, Name: "x", From: -5}, &command.RestoreWindow{Span: -1}, &command.NamePacks{},
		&command.Release{Kind: command.HoldPin},
	} {
		f.refused(rookery.KindInvalid, bad)
	}
}

// TestRestorePointsReachBehindThePacking: what arrived before a restore point and
// was packed after it is kept, in the pack it was put into first and in the one
// it was moved to.
func TestRestorePointsReachBehindThePacking(t *testing.T) {
	f, a := newAccount(t, 0)
	f.deliver(a, 1)
	old := BodyID(f.index)
	arrived := f.m.Time()
	f.clock += int64(time.Hour)
	point := f.clock
	do[*command.Done](f, &command.Hold{Kind: command.HoldRestore, Name: "r1", From: point, To: point})
	f.clock += int64(time.Hour)
	f.deliver(a, 2)
	young := BodyID(f.index)
	pack := func(ids ...BodyID) command.PackID {
		c := &command.Packed{Pack: packName(f.clock, int(f.index)), Size: 100}
		for i, id := range ids {
			c.Bodies = append(c.Bodies, command.PackedBody{Body: id, Off: int64(10 * i), Len: 6})
		}
		do[*command.Done](f, c)
		return c.Pack
	}
	first, later := pack(young, old), pack(young)
	moved := pack(old)
	do[*command.ExpungeResult](f, &command.Expunge{Account: a, Mailbox: Inbox, UIDs: uidset.Range(1, 2), Force: true})
	do[*command.PurgeResult](f, &command.PurgeExpunged{Account: a, Before: f.clock + 1e9})
	f.restore()
	for _, id := range []command.PackID{first, later, moved} {
		do[*command.Done](f, &command.PackDead{Pack: id})
	}
	packs, err := f.m.Packs("", 10)
	if err != nil || len(packs) != 3 || packs[0].Arrived != arrived || packs[0].Created < point || packs[2].Arrived != arrived {
		t.Errorf("%+v %v, want an arrival of %d", packs, err, arrived)
	}
	do[*command.Done](f, &command.PackDeleted{Pack: later}) // nothing of the point's time was in it
	f.refused(rookery.KindConflict, &command.PackDeleted{Pack: first})
	f.refused(rookery.KindConflict, &command.PackDeleted{Pack: moved})
	do[*command.Done](f, &command.Release{Kind: command.HoldRestore, Name: "r1"})
	do[*command.Done](f, &command.PackDeleted{Pack: first})
	do[*command.Done](f, &command.PackDeleted{Pack: moved})
}

func TestExpiredNamesAreRefused(t *testing.T) {
	f := openFixture(t)
	late := packName(f.clock, 1)
	if _, err := f.m.Strangers([]command.PackID{late}); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("before names expire: %v", err)
	}
	do[*command.Done](f, &command.NamePacks{Life: int64(time.Hour)})
	do[*command.Done](f, &command.NamePacks{Life: int64(2 * time.Hour)}) // not changed
	known, other := packName(f.clock, 2), packName(f.clock, 3)
	do[*command.Done](f, &command.Packed{Pack: known, Size: 9})
	f.refused(rookery.KindInvalid, &command.Packed{Pack: "p1", Size: 9})
	f.clock += int64(time.Hour) - 5e6
	do[*command.Done](f, &command.Packed{Pack: late, Size: 9})
	if s, err := f.m.Strangers([]command.PackID{late, known, other}); err != nil || len(s) != 0 {
		t.Errorf("%v %v: a name that is still good", s, err)
	}
	f.clock += 10e6
	f.refused(rookery.KindConflict, &command.Packed{Pack: other, Size: 9})
	f.refused(rookery.KindExists, &command.Packed{Pack: known, Size: 9}) // a retry learns that it was done
	if s, err := f.m.Strangers([]command.PackID{late, known, other, "p1"}); err != nil || !slices.Equal(s, []command.PackID{other}) {
		t.Errorf("%v %v, want %s", s, err, other)
	}
}

// packStorm runs random lives of packs. Its model is the history: of every body
// that a pack has held when it arrived and when it was last in that pack.
type packStorm struct {
	*fixture
	rng     *rand.Rand
	bodies  map[BodyID]rookery.UID
	at      map[BodyID]command.PackID
	arrived map[BodyID]int64
	lay     map[command.PackID]map[BodyID]int64 // when a body was last in it
	holds   map[string]holds.Hold               // by kind and name
	window  int64
	objects map[command.PackID]bool // every pack that ever was: whether its object is still there
	ids     []command.PackID        // those that may have a record
	n       int
	deleted int
}

// TestRandomPackLives notices a pack that is deleted while something of a
// retained time lies in it, one that is deleted while it is live, and a name
// that is taken again after its object has gone; and one kept without a reason.
func TestRandomPackLives(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d: repeat with -seed=%d", seed, seed)
	s := &packStorm{fixture: openFixture(t), rng: rand.New(rand.NewPCG(seed, 2)), bodies: map[BodyID]rookery.UID{},
		at:      map[BodyID]command.PackID{},
		arrived: map[BodyID]int64{}, lay: map[command.PackID]map[BodyID]int64{}, holds: map[string]holds.Hold{},
		objects: map[command.PackID]bool{}}
	do[*command.AccountResult](s.fixture, &command.CreateAccount{Account: accountID(1), Key: []byte("k"), Roles: command.DefaultRoles()})
	do[*command.Done](s.fixture, &command.NamePacks{Life: int64(time.Minute)})
	for step := range *stepsFlag {
		s.step()
		s.remember()
		switch s.rng.IntN(150) {
		case 0:
			s.restore()
		case 1:
			s.reopen()
		}
		if t.Failed() {
			t.Fatalf("step %d", step)
		}
	}
	if s.deleted < *stepsFlag/20 {
		t.Errorf("only %d packs were deleted", s.deleted)
	}
	t.Logf("%d packs, %d deleted", len(s.objects), s.deleted)
}

func (s *packStorm) remember() {
	now := s.m.Time()
	for id, p := range s.at {
		if s.lay[p] == nil {
			s.lay[p] = map[BodyID]int64{}
		}
		s.lay[p][id] = now
	}
}

// needed says what of the retained times lies in a pack, for the command that
// is about to be applied.
func (s *packStorm) needed(id command.PackID, now int64) bool {
	for body, last := range s.lay[id] {
		if s.window > 0 && now-last < s.window {
			return true
		}
		for _, h := range s.holds {
			if h.From <= last && (h.To == 0 || s.arrived[body] <= h.To) {
				return true
			}
		}
	}
	return false
}

func (s *packStorm) step() {
	switch s.rng.IntN(12) {
	case 0, 1:
		r := do[*command.DeliverResult](s.fixture,
			&command.Deliver{Email: emailID(int(s.index) + 1), Size: 10, Layout: []byte("l"), Extract: []byte("x"), Payload: []byte("payload"),
				Deliveries: []command.Delivery{{Account: accountID(1), WrappedKey: []byte("k")}}})
		s.bodies[r.Body], s.arrived[r.Body] = r.Filed[0].UID, s.m.Time()
	case 2:
		s.purgeSome()
	case 3, 4:
		s.packSome()
	case 5, 6, 7:
		s.advanceSome()
	case 8:
		s.holdSome()
	case 9:
		for _, k := range s.holdNames() {
			if s.rng.IntN(2) == 0 {
				h := s.holds[k]
				do[*command.Done](s.fixture, &command.Release{Kind: h.Kind, Name: h.Name})
				delete(s.holds, k)
			}
		}
		if s.rng.IntN(4) == 0 {
			s.window = []int64{0, 0, 20e6, 100e6}[s.rng.IntN(4)]
			do[*command.Done](s.fixture, &command.RestoreWindow{Span: s.window})
		}
	case 10:
		if s.rng.IntN(3) == 0 {
			s.clock += s.rng.Int64N(40e9)
		}
	case 11:
		s.lateSome()
	}
}

func (s *packStorm) holdNames() (names []string) {
	for k := range s.holds {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

func (s *packStorm) some() (ids []BodyID) {
	for id := range s.bodies {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.DeleteFunc(ids, func(BodyID) bool { return s.rng.IntN(3) == 0 })
}

func (s *packStorm) purgeSome() {
	for _, id := range s.some() {
		if s.rng.IntN(2) == 0 {
			continue
		}
		do[*command.ExpungeResult](s.fixture, &command.Expunge{Account: accountID(1), Mailbox: Inbox,
			UIDs: uidset.New(s.bodies[id]), Force: true})
		delete(s.bodies, id)
		s.remember() // still recoverable
		s.purge(s.clock + 1e9)
		delete(s.at, id)
		s.remember()
	}
}

func (s *packStorm) packSome() {
	s.n++
	c := &command.Packed{Pack: packName(s.clock, s.n), Size: 1 << 20}
	for i, id := range s.some() {
		c.Bodies = append(c.Bodies, command.PackedBody{Body: id, Off: int64(i * 10), Len: 10})
		s.at[id] = c.Pack
	}
	do[*command.Done](s.fixture, c)
	s.objects[c.Pack] = true
	s.ids = append(s.ids, c.Pack)
}

// advanceSome tries every step of life on every pack.
func (s *packStorm) advanceSome() {
	live := map[command.PackID]bool{}
	for _, p := range s.at {
		live[p] = true
	}
	s.ids = slices.DeleteFunc(s.ids, func(id command.PackID) bool {
		if s.rng.IntN(3) > 0 {
			return false
		}
		s.apply(&command.PackDead{Pack: id})
		s.remember()
		if s.objects[id] {
			s.delete(id, live[id])
			return false
		}
		_, err := s.apply(&command.PackForget{Pack: id})
		return err == nil
	})
}

func (s *packStorm) delete(id command.PackID, live bool) {
	needed := live || s.needed(id, s.clock+1e6)
	_, err := s.apply(&command.PackDeleted{Pack: id})
	s.remember()
	switch {
	case err == nil && needed:
		s.t.Fatalf("pack %s was deleted too early", id)
	case err == nil:
		s.objects[id] = false
		s.deleted++
	case !live && len(s.holds) == 0 && s.window == 0:
		s.t.Fatalf("pack %s is kept by nothing: %v", id, err)
	}
}

func (s *packStorm) holdSome() {
	h := holds.Hold{Kind: command.HoldKind(1 + s.rng.IntN(3)), Name: fmt.Sprint(s.rng.IntN(3)), From: s.clock + s.rng.Int64N(400e6) - 200e6}
	switch s.rng.IntN(3) {
	case 0:
		h.To = h.From
	case 1:
		h.To = h.From + s.rng.Int64N(100e6)
	}
	k := fmt.Sprint(h.Kind, h.Name)
	old, have := s.holds[k]
	_, err := s.apply(&command.Hold{Kind: h.Kind, Name: h.Name, From: h.From, To: h.To})
	switch {
	case have && (old.From != h.From || old.To != h.To):
		if !rookery.Is(err, rookery.KindExists) {
			s.t.Errorf("a hold was changed: %v", err)
		}
	case err != nil:
		s.t.Error(err)
	default:
		s.holds[k] = h
	}
}

// lateSome is a packer that was paused: it proposes what has been proposed
// long ago, by itself or by another.
func (s *packStorm) lateSome() {
	var ids []command.PackID
	for id := range s.objects {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return
	}
	slices.Sort(ids)
	c := &command.Packed{Pack: ids[s.rng.IntN(len(ids))], Size: 1 << 20}
	for i, id := range s.some() {
		c.Bodies = append(c.Bodies, command.PackedBody{Body: id, Off: int64(i * 10), Len: 10})
	}
	_, err := s.apply(c)
	if err != nil {
		return
	}
	if !s.objects[c.Pack] {
		s.t.Fatalf("bodies were put into pack %s, whose object is gone", c.Pack)
	}
	for _, b := range c.Bodies {
		s.at[b.Body] = c.Pack
	}
}
