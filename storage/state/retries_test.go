package state

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
)

// send applies one command under the header and gives its result.
func send(g *Group, h Header, cmd ...byte) []byte {
	index, _ := g.Applied()
	if h.Time == 0 {
		h.Time = 1
	}
	return g.Apply([]rookery.Entry{{Index: index + 1, Term: 1, Data: Wrap(h, cmd)}})[0]
}

func TestRetriesLandOnce(t *testing.T) {
	s, g, m := openLedger(t, vfs.NewMem(), 1)
	defer closeStore(t, s)
	first := send(g, Header{Node: "a", Epoch: 1, Seq: 1}, 0, 1, 1)
	if again := send(g, Header{Node: "a", Epoch: 1, Seq: 1}, 0, 1, 1); !bytes.Equal(first, again) {
		t.Errorf("sent again it gives %x, first %x", again, first)
	}
	// In the same batch too, and out of order.
	h5, h4 := Header{Node: "a", Epoch: 1, Seq: 5, Time: 1}, Header{Node: "a", Epoch: 1, Seq: 4, Time: 1}
	index, _ := g.Applied()
	r := g.Apply([]rookery.Entry{
		{Index: index + 1, Term: 1, Data: Wrap(h5, []byte{0, 2, 2})},
		{Index: index + 2, Term: 1, Data: Wrap(h5, []byte{0, 2, 2})},
		{Index: index + 3, Term: 1, Data: Wrap(h4, []byte{0, 3, 3})},
	})
	if !bytes.Equal(r[0], r[1]) || bytes.Equal(r[0], r[2]) {
		t.Errorf("results in one batch: %x", r)
	}
	if m.commits != 3 {
		t.Errorf("%d commands ran, want 3", m.commits)
	}
	// Below the low-water mark nothing runs and nothing is known.
	send(g, Header{Node: "a", Epoch: 1, Seq: 6, Low: 5})
	if err := ResultError("x", send(g, Header{Node: "a", Epoch: 1, Seq: 4})); !errors.Is(err, ErrForgotten) ||
		rookery.KindOf(err) != rookery.KindUnknown {
		t.Errorf("a forgotten command gives %v", err)
	}
	if err := ResultError("x", send(g, Header{Node: "a", Epoch: 1, Seq: 3})); !errors.Is(err, ErrForgotten) {
		t.Errorf("a command below the mark gives %v", err)
	}
	// A new epoch fences the old one, of this node only.
	send(g, Header{Node: "b", Epoch: 9, Seq: 1})
	if err := ResultError("x", send(g, Header{Node: "a", Epoch: 2, Seq: 1}, 0, 4, 4)); err != nil {
		t.Error(err)
	}
	if err := ResultError("x", send(g, Header{Node: "a", Epoch: 1, Seq: 6})); !errors.Is(err, ErrFenced) {
		t.Errorf("a fenced command gives %v", err)
	}
	if m.commits != 6 {
		t.Errorf("%d commands ran, want 6", m.commits)
	}
}

func TestMalformedEntriesAreRefusedAndChangeNothing(t *testing.T) {
	s, g, _ := openLedger(t, vfs.NewMem(), 1)
	defer closeStore(t, s)
	send(g, Header{Node: "a", Epoch: 1, Seq: 1}, 0, 1, 1)
	want, now := dumpGroup(t, g), g.Time()
	good := Header{Node: "a", Epoch: 1, Seq: 2, Low: 1, Time: 1}
	bad := []Header{{}, good, good, good, good, good}
	bad[1].Node = rookery.NodeID(bytes.Repeat([]byte("n"), maxNode+1))
	bad[2].Low = 3
	bad[3].Time = MaxTime + 1
	bad[4].Time = -1
	bad[5].Epoch = 0
	entries := [][]byte{{2}, {1}, {1, 0xff, 0xff, 0xff, 0xff, 0x7f}, []byte("text"), bytes.Repeat([]byte{0xff}, 300)}
	for _, h := range bad {
		entries = append(entries, Wrap(h, []byte{0, 1, 2}))
	}
	for _, data := range entries {
		index, _ := g.Applied()
		r := g.Apply([]rookery.Entry{{Index: index + 1, Term: 1, Data: data}})
		if err := ResultError("x", r[0]); !rookery.Is(err, rookery.KindInvalid) {
			t.Errorf("%.40x gives %v", data, err)
		}
	}
	if dumpGroup(t, g) != want || g.Time() != now {
		t.Error("a refused entry changed the state")
	}
}

func TestGroupTimeAlwaysRises(t *testing.T) {
	s, g, _ := openLedger(t, vfs.NewMem(), 1)
	defer closeStore(t, s)
	for seq, want := range []int64{100, 101, 102, 500, 501} {
		send(g, Header{Node: "a", Epoch: 1, Seq: uint64(seq + 1), Time: []int64{100, 100, 7, 500, 1}[seq]})
		if g.Time() != want {
			t.Errorf("command %d has time %d, want %d", seq, g.Time(), want)
		}
	}
}

// The table in memory must equal the one read back from the rows, whatever
// commands came, or replicas that restarted would answer differently.
func TestRetriesReadBackEqualTheLiveTable(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	s, g, _ := openLedger(t, vfs.NewMem(), 1)
	defer closeStore(t, s)
	for step := range 4000 {
		node := rookery.NodeID(fmt.Sprint("n", rng.IntN(3)))
		h := Header{Node: node, Epoch: 1 + uint64(step/1500), Seq: 1 + uint64(step*4+rng.IntN(200)), Time: 1}
		if rng.IntN(50) == 0 {
			h.Low = max(h.Seq, 60) - 50
		}
		if rng.IntN(500) == 0 {
			h.Seq += Window
		}
		send(g, h, 0, byte(step), 1)
		if step%400 != 399 {
			continue
		}
		back := newRetries()
		view := g.Read()
		if err := back.load(view); err != nil {
			t.Fatal(err)
		}
		view.Close()
		compareRetries(t, g.retries, back)
	}
}

func compareRetries(t *testing.T, live, back *retries) {
	t.Helper()
	if len(live.nodes) != len(back.nodes) {
		t.Fatalf("%d nodes live, %d read back", len(live.nodes), len(back.nodes))
	}
	for node, a := range live.nodes {
		b := back.nodes[node]
		if a.epoch != b.epoch || a.low != b.low || a.newest != b.newest || a.bytes != b.bytes || len(a.kept) != len(b.kept) {
			t.Fatalf("%s: live epoch %d low %d newest %d bytes %d kept %d, read back %d %d %d %d %d", node,
				a.epoch, a.low, a.newest, a.bytes, len(a.kept), b.epoch, b.low, b.newest, b.bytes, len(b.kept))
		}
		for seq, result := range a.kept {
			if !bytes.Equal(b.kept[seq], result) {
				t.Fatalf("%s: result %d is %x live and %x read back", node, seq, result, b.kept[seq])
			}
		}
		if len(a.kept) > Window || (a.bytes > maxKept && len(a.kept) > 1) {
			t.Fatalf("%s keeps %d results of %d bytes", node, len(a.kept), a.bytes)
		}
	}
}

func TestKeptResultsAreBoundedInBytes(t *testing.T) {
	s, err := Open("state", vfs.NewMem(), Options{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	g, err := s.Group(1, func(*Group) Machine { return verbose{} })
	if err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(20) {
		send(g, Header{Node: "a", Epoch: 1, Seq: seq + 1})
	}
	if p := g.retries.nodes["a"]; p.bytes > maxKept || len(p.kept) < 3 {
		t.Errorf("it keeps %d results of %d bytes", len(p.kept), p.bytes)
	}
	back, view := newRetries(), g.Read()
	defer view.Close()
	if err := back.load(view); err != nil {
		t.Fatal(err)
	}
	compareRetries(t, g.retries, back)
}

// verbose answers with a mebibyte.
type verbose struct{}

func (verbose) Apply(Tx, []byte) []byte { return OK(make([]byte, 1<<20)) }
func (verbose) Restored()               {}

func TestResultsRoundTrip(t *testing.T) {
	for _, kind := range rookery.Kinds() {
		r := DecodeResult(Refuse(kind, "why"))
		if r.OK || r.Kind != kind || r.Text != "why" {
			t.Errorf("%v comes back as %+v", kind, r)
		}
		if err := ResultError("op", Refuse(kind, "why")); rookery.KindOf(err) != kind {
			t.Errorf("%v comes back as error %v", kind, err)
		}
	}
	if r := DecodeResult(OK([]byte("value"))); !r.OK || string(r.Value) != "value" {
		t.Errorf("%+v", r)
	}
	if r := DecodeResult(nil); r.OK || r.Kind != rookery.KindUnknown {
		t.Errorf("no result is %+v", r)
	}
}

func FuzzUnwrap(f *testing.F) {
	f.Add(Wrap(Header{Node: "n", Epoch: 1, Seq: 2, Low: 1, Time: 5}, []byte("command")))
	f.Add([]byte{1, 0})
	f.Add([]byte{1, 5, 0xa1, 1, 0x61, 'n', 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		h, offset, err := Unwrap(data)
		if err != nil {
			if !rookery.Is(err, rookery.KindInvalid) {
				t.Fatalf("%v is not invalid", err)
			}
			return
		}
		again, at, err := Unwrap(Wrap(h, data[offset:]))
		if err != nil || again != h || !bytes.Equal(Wrap(h, data[offset:])[at:], data[offset:]) {
			t.Fatalf("%+v comes back as %+v, %v", h, again, err)
		}
	})
}
