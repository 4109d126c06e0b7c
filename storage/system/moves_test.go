package system

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/storage/command"
)

// moving is a fixture with one account in group 2 and groups 2 to 4, of which
// 4 has not begun.
func moving(t *testing.T) (*fixture, rookery.AccountID) {
	f := open(t)
	a := rookery.AccountID{1}
	f.nodes("a")
	for _, g := range []rookery.GroupID{2, 3, 4} {
		f.must(&command.CreateGroup{Group: g, Members: ids("a")})
	}
	f.must(&command.ConfirmGroup{Group: 2, Version: 1, Voters: ids("a")}, &command.ConfirmGroup{Group: 3, Version: 1, Voters: ids("a")},
		&command.EnsureAccount{DirectoryKey: "corp/1", Account: a, Group: 2})
	return f, a
}

func (f *fixture) begin(a rookery.AccountID, to rookery.GroupID) command.MoveID {
	f.t.Helper()
	r, err := f.apply(&command.BeginMove{Account: a, To: to})
	if err != nil {
		f.t.Fatal(err)
	}
	return r.(*command.BegunMove).Move
}

func (f *fixture) at(a rookery.AccountID, want rookery.GroupID) {
	f.t.Helper()
	p, err := f.m.Account(a)
	q, kerr := f.m.ByKey("corp/1")
	if err != nil || kerr != nil || p.Group != want || p != q {
		f.t.Fatalf("account is at %+v %v, by its key at %+v %v, want group %d", p, err, q, kerr, want)
	}
}

func TestMoveIsDecidedOnce(t *testing.T) {
	f, a := moving(t)
	f.refused(rookery.KindNotFound, "not in the map", &command.BeginMove{Account: rookery.AccountID{9}, To: 3})
	f.refused(rookery.KindNotFound, "no mail group", &command.BeginMove{Account: a, To: 9})
	f.refused(rookery.KindExists, "already", &command.BeginMove{Account: a, To: 2})
	f.refused(rookery.KindConflict, "not begun", &command.BeginMove{Account: a, To: 4})
	m := f.begin(a, 3)
	if again := f.begin(a, 3); again != m {
		t.Fatalf("the same again is move %d, not %d", again, m)
	}
	f.refused(rookery.KindConflict, "", &command.BeginMove{Account: a, To: 4})
	f.refused(rookery.KindConflict, "not decided", &command.EndMove{Account: a, Move: m})
	f.at(a, 2)
	for range 2 {
		f.must(&command.SwitchMove{Account: a, Move: m})
		f.at(a, 3)
	}
	f.refused(rookery.KindConflict, "move it back", &command.AbandonMove{Account: a, Move: m})
	x, err := f.m.Move(a)
	want := AccountMove{Account: a, Move: m, From: 2, To: 3, State: MoveSwitched, Begun: x.Begun}
	if d := cmp.Diff(want, x); d != "" || err != nil || x.Begun == 0 {
		t.Fatal(d, err)
	}
	f.must(&command.EndMove{Account: a, Move: m}, &command.EndMove{Account: a, Move: m})
	f.refused(rookery.KindConflict, "has ended", &command.SwitchMove{Account: a, Move: m})
	if all, err := f.m.Moves(); len(all) > 0 || err != nil {
		t.Fatal(all, err)
	}
	back := f.begin(a, 2)
	if back <= m {
		t.Fatalf("move %d follows move %d", back, m)
	}
	f.must(&command.SwitchMove{Account: a, Move: back})
	f.at(a, 2)
}

func TestAbandonedMoveNeverSwitches(t *testing.T) {
	f, a := moving(t)
	m := f.begin(a, 3)
	for range 2 {
		f.must(&command.AbandonMove{Account: a, Move: m, Reason: "why"})
	}
	f.refused(rookery.KindConflict, "was abandoned", &command.SwitchMove{Account: a, Move: m})
	f.refused(rookery.KindConflict, "wait until", &command.BeginMove{Account: a, To: 3})
	if x, err := f.m.Move(a); err != nil || x.State != MoveAbandoned || x.Reason != "why" {
		t.Fatalf("%+v %v", x, err)
	}
	f.at(a, 2)
	f.must(&command.EndMove{Account: a, Move: m})
	f.refused(rookery.KindConflict, "has ended", &command.SwitchMove{Account: a, Move: m})
	f.must(&command.AbandonMove{Account: a, Move: f.begin(a, 3) - 1}) // of another move
	if x, _ := f.m.Move(a); x.State != MoveCopying {
		t.Fatalf("%+v", x)
	}
	f.must(&command.ForgetAccount{Account: a})
	if x, _ := f.m.Move(a); x.State != MoveAbandoned {
		t.Fatalf("an erased account's move is %+v", x)
	}
}
