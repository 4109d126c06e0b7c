package system

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

type fixture struct {
	t testing.TB
	g *state.Group
	m *Machine
	n uint64
}

func open(t testing.TB) *fixture {
	s, err := state.Open("state", vfs.NewMem(),
		state.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), MemTableBytes: 1 << 20, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	f := &fixture{t: t}
	if f.g, err = s.Group(rookery.SystemGroup, func(g *state.Group) state.Machine { f.m = New(nil)(g); return watched{f.m, f} }); err != nil {
		t.Fatal(err)
	}
	return f
}

// watched is a machine whose every row is checked as it is written.
type watched struct {
	*Machine
	f *fixture
}

func (w watched) Apply(tx state.Tx, entry []byte) []byte {
	return w.Machine.Apply(watchedTx{tx, w}, entry)
}

type watchedTx struct {
	state.Tx
	w watched
}

func (x watchedTx) Set(k, v []byte) error {
	if err := x.w.parts.CheckRow(k, v); err != nil {
		x.w.f.t.Error(err)
	}
	return x.Tx.Set(k, v)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func TestEveryTableIsDeclared(t *testing.T) {
	if missing := join().Incomplete(); len(missing) > 0 {
		t.Errorf("%s", strings.Join(missing, "\n"))
	}
}

// An account that was erased while it moved leaves nothing.
func TestAnErasureLeavesNothing(t *testing.T) {
	f := open(t)
	a := rookery.AccountID{0xaa, 0xbb, 1}
	must2(f.apply(&command.RegisterNode{Node: "n", Name: "n", Address: "n:1", Version: command.Version}))
	for g := rookery.GroupID(2); g < 4; g++ {
		must2(f.apply(&command.CreateGroup{Group: g, Members: ids("n")}))
		must2(f.apply(&command.ConfirmGroup{Group: g, Voters: ids("n"), Version: 1}))
	}
	must2(f.apply(&command.EnsureAccount{DirectoryKey: "corp/1", Account: a, Group: 2, Login: "anna", Addresses: []string{"anna@x", "a@x"}}))
	must2(f.apply(&command.NoteSignIns{SignIns: []command.SignIn{{Account: a, Time: 1}}}))
	moved := must2(f.apply(&command.BeginMove{Account: a, To: 3})).(*command.BegunMove)
	must2(f.apply(&command.EraseAccounts{Accounts: []rookery.AccountID{a}}))
	has := f.of(a)
	for _, x := range f.m.parts.All() {
		if x.Owner == tables.OfAccount && has[x.ID] == 0 {
			t.Errorf("no row of table %#x (%s): extend this test", x.ID, x.Name)
		}
	}
	must2(f.apply(&command.AccountsErased{Accounts: []rookery.AccountID{a}}))
	must2(f.apply(&command.ForgetAccount{Account: a}))
	must2(f.apply(&command.EndMove{Account: a, Move: moved.Move}))
	if left := f.of(a); len(left) > 0 {
		t.Errorf("rows left, by table: %v", left)
	}
}

// of lists the tables with rows whose key or value has an account.
func (f *fixture) of(a rookery.AccountID) map[byte]int {
	n := map[byte]int{}
	s := f.g.Read()
	defer s.Close()
	must(s.Scan([]byte{state.FirstTable}, nil, func(k, v []byte) (bool, error) {
		if strings.Contains(string(k)+string(v), string(a[:])) {
			n[k[0]]++
		}
		return true, nil
	}))
	return n
}

func must2(r command.Result, err error) command.Result {
	must(err)
	return r
}

func (f *fixture) apply(c command.Command) (command.Result, error) {
	f.t.Helper()
	return f.raw(command.TypeOf(c), command.Encode(c))
}

func (f *fixture) raw(t command.Type, b []byte) (command.Result, error) {
	f.t.Helper()
	f.n++
	entry := state.Wrap(state.Header{Node: "n", Epoch: 1, Seq: f.n, Time: int64(f.n)}, b)
	out := f.g.Apply([]rookery.Entry{{Index: rookery.LogIndex(f.n), Term: 1, Data: entry}})[0]
	if err := state.ResultError("apply", out); err != nil {
		return nil, err
	}
	r, err := command.DecodeResult(t, state.DecodeResult(out).Value)
	if err != nil {
		f.t.Fatal(err)
	}
	return r, nil
}

func TestEnsureAccountIsDecidedOnce(t *testing.T) {
	f := open(t)
	a, b := rookery.AccountID{1}, rookery.AccountID{2}
	r, err := f.apply(&command.EnsureAccount{DirectoryKey: "corp/1", Account: a, Group: 3})
	if d := cmp.Diff(&command.EnsureResult{Account: a, Group: 3, Created: true}, r); d != "" || err != nil {
		t.Fatal(d, err)
	}
	r, err = f.apply(&command.EnsureAccount{DirectoryKey: "corp/1", Account: b, Group: 4})
	if d := cmp.Diff(&command.EnsureResult{Account: a, Group: 3}, r); d != "" || err != nil {
		t.Fatal(d, err)
	}
	if _, err := f.apply(&command.EnsureAccount{DirectoryKey: "corp/2", Account: a, Group: 4}); !rookery.Is(err, rookery.KindConflict) {
		t.Fatalf("an id for two entries: %v", err)
	}
	if _, err := f.apply(&command.EnsureAccount{DirectoryKey: "corp/2", Account: b, Group: rookery.SystemGroup}); !rookery.Is(err,
		rookery.KindInvalid) {
		t.Fatalf("an account in the system group: %v", err)
	}
	want := Place{a, 3, "corp/1"}
	if p, err := f.m.Account(a); p != want || err != nil {
		t.Fatal(p, err)
	}
	if p, err := f.m.ByKey("corp/1"); p != want || err != nil {
		t.Fatal(p, err)
	}
	if _, err := f.m.Account(b); !rookery.Is(err, rookery.KindNotFound) {
		t.Fatal(err)
	}
	if _, err := f.m.ByKey("corp/2"); !rookery.Is(err, rookery.KindNotFound) {
		t.Fatal(err)
	}
	if ps, err := f.m.Accounts(rookery.AccountID{}, 10); len(ps) != 1 || ps[0] != want || err != nil {
		t.Fatal(ps, err)
	}
}

func TestForgottenEntryGetsANewAccount(t *testing.T) {
	f := open(t)
	a, b := rookery.AccountID{1}, rookery.AccountID{2}
	f.apply(&command.EnsureAccount{DirectoryKey: "corp/1", Account: a, Group: 3})
	for range 2 {
		if _, err := f.apply(&command.ForgetAccount{Account: a}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.m.Account(a); !rookery.Is(err, rookery.KindNotFound) {
		t.Fatal(err)
	}
	r, err := f.apply(&command.EnsureAccount{DirectoryKey: "corp/1", Account: b, Group: 4})
	if d := cmp.Diff(&command.EnsureResult{Account: b, Group: 4, Created: true}, r); d != "" || err != nil {
		t.Fatal(d, err)
	}
}

func TestSettingsCompareAndSet(t *testing.T) {
	f := open(t)
	if v, d, err := f.m.Settings(); v != 0 || d != nil || err != nil {
		t.Fatal(v, d, err)
	}
	for i := range uint64(3) {
		r, err := f.apply(&command.SetSettings{Version: i, Document: []byte{byte(i)}})
		if err != nil || r.(*command.SettingsResult).Version != i+1 {
			t.Fatal(r, err)
		}
		if _, err := f.apply(&command.SetSettings{Version: i, Document: []byte("late")}); !rookery.Is(err, rookery.KindConflict) {
			t.Fatal(err)
		}
	}
	if v, d, err := f.m.Settings(); v != 3 || string(d) != "\x02" || err != nil {
		t.Fatal(v, d, err)
	}
}

func FuzzApply(f *testing.F) {
	for _, c := range []command.Command{
		&command.EnsureAccount{DirectoryKey: "a", Account: rookery.AccountID{1}, Group: 2},
		&command.EnsureAccount{DirectoryKey: "a", Account: rookery.AccountID{1}, Group: 2, Login: "l", Addresses: []string{"a@x", "b@x"}},
		&command.NoteOwner{Account: rookery.AccountID{1}, DirectoryKey: "a", Addresses: []string{"c@x"}},
		&command.LinkAccount{Account: rookery.AccountID{1}, DirectoryKey: "b", Addresses: []string{"c@x"}},
		&command.NoteSignIns{SignIns: []command.SignIn{{Account: rookery.AccountID{1}, Time: 1, Protocol: "imap"}}},
		&command.SetSettings{Document: []byte("x")},
		&command.RegisterNode{Node: "n"},
		&command.Invite{ID: "i", Hash: hash, Expires: 1 << 60},
		&command.Admit{ID: "i", Hash: hash, Node: "m", Key: hash},
		&command.SetNodeState{Node: "n", State: command.NodeRemoved},
		&command.CreateGroup{Group: 2, Members: ids("n")},
		&command.PlaceGroup{Group: 2, Members: ids("n"), Version: 1},
		&command.ConfirmGroup{Group: 2, Voters: ids("n"), Version: 1},
		&command.FinalizeVersion{Version: 0},
		&command.SetSettingsKey{Version: 2, Fingerprint: [16]byte{1}},
		&command.KeepSTS{Domain: "example.com", ID: "1", MX: []string{"mx.example.com"}, MaxAge: 1},
		&command.SetSigningKeys{Domain: "example.com", Keys: []command.SigningKey{{Selector: "s", Record: "r", Sealed: "k"}}},
		&command.AddRelay{Name: "a", Hash: [32]byte{1}, Senders: []string{"@x"}, Rate: 1},
		&command.RemoveRelay{Name: "a"},
		&command.SetAuthority{Version: 1, Fingerprint: [16]byte{1}, Certificate: []byte("der"), State: command.AuthorityInUse},
		&command.NoteKit{Tenant: 1, Settings: 1, Authority: 1, Made: 1},
		&command.CopyPeople{Directory: "d", Full: true, Complete: true, Changed: []command.Person{{Key: "d/1", Index: []string{"a:x"}}}},
		&command.CopyPeople{Directory: "d", After: 1, Gone: []string{"d/1"}, Named: []string{"d/1"}},
		&command.SettlePeople{Directory: "d", Pending: 1, Approve: true},
		&command.DropPeople{Directory: "d"},
	} {
		f.Add(command.Encode(c))
	}
	x := open(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		x.t = t
		x.raw(command.TypeOf(&command.PackDead{}), b) // its result has no encoding
		_, _, err1 := x.m.Settings()
		_, err2 := x.m.Nodes()
		_, err3 := x.m.Invitations()
		_, err4 := x.m.Groups()
		_, err5 := x.m.Gate()
		_, err6 := x.m.SigningKeys()
		_, err7 := x.m.RelayCredentials()
		if err := errors.Join(err7, err1, err2, err3, err4, err5, err6); err != nil {
			t.Fatal(err)
		}
	})
}

// Every command of the system group has its code here, and no other command has.
func TestEveryCommandIsHandled(t *testing.T) {
	f := open(t)
	for _, r := range command.Rows() {
		_, err := f.raw(r.Type, command.Encode(r.New()))
		if foreign := err != nil && strings.Contains(err.Error(), "does not belong to"); foreign == r.Applies(command.System) {
			t.Errorf("command %s: %v", r.Name, err)
		}
	}
}
