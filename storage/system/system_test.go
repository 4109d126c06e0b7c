package system

import (
	"io"
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
)

type fixture struct {
	t testing.TB
	g *state.Group
	m *Machine
	n uint64
}

func open(t testing.TB) *fixture {
	s, err := state.Open("state", vfs.NewMem(), state.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), MemTableBytes: 1 << 20, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	f := &fixture{t: t}
	if f.g, err = s.Group(rookery.SystemGroup, func(g *state.Group) state.Machine { f.m = New(nil)(g); return f.m }); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) apply(c command.Command) (command.Result, error) {
	f.t.Helper()
	return f.raw(c.Type(), command.Encode(c))
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
	if _, err := f.apply(&command.EnsureAccount{DirectoryKey: "corp/2", Account: b, Group: rookery.SystemGroup}); !rookery.Is(err, rookery.KindInvalid) {
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

func TestNodesRegister(t *testing.T) {
	f := open(t)
	for _, c := range []*command.RegisterNode{{Node: "b", Name: "two"}, {Node: "a", Name: "one", Address: "h:1", Version: 2, Zone: "z"}, {Node: "b", Name: "2"}, {Node: "c"}, {Node: "c", Remove: true}} {
		if _, err := f.apply(c); err != nil {
			t.Fatal(err)
		}
	}
	got, err := f.m.Nodes()
	want := []Node{{"a", "one", "h:1", 2, "z", 2, 2}, {"b", "2", "", 0, "", 1, 3}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Fatal(d, err)
	}
	if _, err := f.apply(&command.RegisterNode{}); !rookery.Is(err, rookery.KindInvalid) {
		t.Fatal(err)
	}
	if _, err := f.apply(&command.SetQuota{}); !rookery.Is(err, rookery.KindInvalid) {
		t.Fatal("a mail command passed:", err)
	}
}

func FuzzApply(f *testing.F) {
	f.Add(command.Encode(&command.EnsureAccount{DirectoryKey: "a", Account: rookery.AccountID{1}, Group: 2}))
	f.Add(command.Encode(&command.SetSettings{Document: []byte("x")}))
	f.Add(command.Encode(&command.RegisterNode{Node: "n"}))
	x := open(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		x.t = t
		x.raw(command.TypePackDead, b) // its result has no encoding
		if _, _, err := x.m.Settings(); err != nil {
			t.Fatal(err)
		}
		if _, err := x.m.Nodes(); err != nil {
			t.Fatal(err)
		}
	})
}
