package holds

import (
	"fmt"
	"io"
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

// machine is a group that has holds alone.
type machine struct{ *tables.Parts[*tables.Change] }

func (m machine) Apply(tx state.Tx, entry []byte) []byte {
	c, _, err := command.Decode(entry[tx.Offset():])
	if err != nil {
		return tables.Answer(nil, err)
	}
	return tables.Answer(m.Run(&tables.Change{Tx: tx}, c))
}

func (machine) Restored() {}

type group struct {
	*testing.T
	*state.Group
	index rookery.LogIndex
	clock int64
}

func newGroup(t *testing.T) *group {
	store, err := state.Open("state", vfs.NewMem(),
		state.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), MemTableBytes: 1 << 20, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	g, err := store.Group(2, func(*state.Group) state.Machine {
		return machine{tables.Join("a test", Part[*tables.Change]())}
	})
	if err != nil {
		t.Fatal(err)
	}
	return &group{T: t, Group: g, clock: 1_700_000_000e9}
}

func (g *group) do(c command.Command) error {
	g.index++
	g.clock++
	data := state.Wrap(state.Header{Node: "n1", Epoch: 1, Seq: uint64(g.index), Low: uint64(g.index), Time: g.clock}, command.Encode(c))
	out := g.Apply([]rookery.Entry{{Index: g.index, Term: 1, Data: data}})
	return state.ResultError("apply", out[0])
}

func (g *group) must(c command.Command) {
	g.Helper()
	if err := g.do(c); err != nil {
		g.Fatal(err)
	}
}

func (g *group) keeper(p Life, now int64) string {
	g.Helper()
	s := g.Read()
	defer s.Close()
	why, err := Keeper(s, p, now)
	if err != nil {
		g.Fatal(err)
	}
	return why
}

// A hold that this version does not understand keeps every pack.
func TestUnknownHoldKeepsEverything(t *testing.T) {
	h := Hold{Kind: 77, From: 10, To: 11}
	if !h.covers(Life{Arrived: 100, Dead: 200}) {
		t.Error("an unknown kind keeps nothing")
	}
	h.Kind = command.HoldPin
	if h.covers(Life{Arrived: 100, Dead: 200}) || !h.covers(Life{Arrived: 100}) {
		t.Error("a pin of another time keeps the pack, or a pack without a time of death goes")
	}
}

func TestHoldsAreBounded(t *testing.T) {
	g := newGroup(t)
	for i := range MaxHolds {
		g.must(&command.Hold{Kind: command.HoldRestore, Name: fmt.Sprint(i), From: 1, To: 1})
	}
	if err := g.do(&command.Hold{Kind: command.HoldPin, Name: "x"}); !rookery.Is(err, rookery.KindLimit) {
		t.Errorf("one more: %v", err)
	}
	g.must(&command.Hold{Kind: command.HoldRestore, Name: "5", From: 1, To: 1}) // it is there
	s := g.Read()
	defer s.Close()
	if all, err := List(s); err != nil || len(all) != MaxHolds {
		t.Errorf("%d holds, %v", len(all), err)
	}
}

// What a restore to any second of the window needs is kept: a pack that has been
// dead for less than the window, to the nanosecond.
func TestTheWindowKeepsWhatARestoreNeeds(t *testing.T) {
	g := newGroup(t)
	p := Life{Arrived: 100e9, Dead: 200e9}
	if why := g.keeper(p, p.Dead); why != "" {
		t.Errorf("kept by %q before there is a window", why)
	}
	const window = int64(30e9)
	g.must(&command.RestoreWindow{Span: window})
	for _, now := range []int64{p.Dead, p.Dead + 1, p.Dead + window - 1, p.Dead - 5e9} { // the last: a clock that is behind
		if why := g.keeper(p, now); why != "the restore window" {
			t.Errorf("%d ns after its death it is kept by %q", now-p.Dead, why)
		}
	}
	if why := g.keeper(p, p.Dead+window); why != "" {
		t.Errorf("kept by %q after the window", why)
	}
	g.must(&command.RestoreWindow{Span: 2 * window})
	if why := g.keeper(p, p.Dead+window); why == "" {
		t.Error("a longer window does not keep it")
	}
	g.must(&command.RestoreWindow{})
	if why := g.keeper(p, p.Dead+1); why != "" {
		t.Errorf("kept by %q without a window", why)
	}
}

// A restore point keeps what was alive at its time, both ends of a life included.
func TestARestorePointKeepsWhatWasAlive(t *testing.T) {
	g := newGroup(t)
	const point = int64(150e9)
	g.must(&command.Hold{Kind: command.HoldRestore, Name: "daily", From: point, To: point})
	for _, c := range []struct {
		life Life
		kept bool
	}{
		{Life{Arrived: 100e9, Dead: 200e9}, true}, {Life{Arrived: point, Dead: 200e9}, true}, {Life{Arrived: 100e9, Dead: point}, true},
		{Life{Arrived: point + 1, Dead: 200e9}, false}, {Life{Arrived: 100e9, Dead: point - 1}, false},
	} {
		if why := g.keeper(c.life, 1e18); (why == "restore point daily") != c.kept {
			t.Errorf("%+v is kept by %q", c.life, why)
		}
	}
	g.must(&command.Release{Kind: command.HoldRestore, Name: "daily"})
	if why := g.keeper(Life{Arrived: 100e9, Dead: 200e9}, 1e18); why != "" {
		t.Errorf("kept by %q after its release", why)
	}
}
