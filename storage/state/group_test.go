package state

import (
	"bytes"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"rookery"
)

func TestApplySeesItsOwnWritesAndSkipsWhatItApplied(t *testing.T) {
	s, g, m := openLedger(t, vfs.NewMem(), 7)
	defer closeStore(t, s)
	before := g.Read()
	defer before.Close()
	batch := []rookery.Entry{
		{Index: 1, Term: 1, Configuration: []byte("voters")},
		entry(2, 1, 0, 5, 9, 4, 0, 0),
		{Index: 3, Term: 1},
		entry(4, 2, 0, 6, 1, 4, 0, 0, 2, 5, 0, 4, 0, 0),
	}
	got := g.Apply(batch)
	if got[0] != nil || got[2] != nil {
		t.Error("entries without a command have results")
	}
	for i, want := range map[int][]byte{1: {9}, 3: {10, 1}} {
		r := DecodeResult(got[i])
		if !r.OK || !bytes.HasPrefix(r.Value, want) {
			t.Errorf("result %d is %+v, want it to begin with %v", i, r, want)
		}
	}
	if index, term := g.Applied(); index != 4 || term != 1 {
		t.Errorf("applied %d in term %d", index, term)
	}
	if data, index := g.Configuration(); string(data) != "voters" || index != 1 {
		t.Errorf("configuration %q at %d", data, index)
	}
	if m.commits != 2 {
		t.Errorf("%d commit hooks ran, want 2", m.commits)
	}
	want := dumpGroup(t, g)
	for _, r := range g.Apply(batch) {
		if r != nil {
			t.Error("an entry applied before has a result")
		}
	}
	if diff := cmp.Diff(want, dumpGroup(t, g)); diff != "" {
		t.Error("applying twice changed the state:", diff)
	}
	if dump(t, before) != "" {
		t.Error("an older view sees newer rows")
	}
}

func TestGroupsDoNotMeet(t *testing.T) {
	s, a, _ := openLedger(t, vfs.NewMem(), 1)
	defer closeStore(t, s)
	b, err := s.Group(2, func(*Group) Machine { return &ledger{} })
	if err != nil {
		t.Fatal(err)
	}
	last, err := s.Group(^rookery.GroupID(0), func(*Group) Machine { return &ledger{} })
	if err != nil {
		t.Fatal(err)
	}
	a.Apply([]rookery.Entry{entry(1, 1, 0, 1, 1)})
	last.Apply([]rookery.Entry{entry(1, 1, 0, 3, 1)})
	if got := dumpGroup(t, b); got != "" {
		t.Errorf("group 2 sees %q", got)
	}
	b.Apply([]rookery.Entry{entry(1, 1, 3, 0, 0, 0, 2, 2)})
	if a, b := dumpGroup(t, a), dumpGroup(t, b); a == b || a == "" || b == "" {
		t.Errorf("groups hold %q and %q", a, b)
	}
	if again, _ := s.Group(1, nil); again != a {
		t.Error("a group opened twice is two")
	}
}

func TestScansBothWaysWithinBounds(t *testing.T) {
	s, g, _ := openLedger(t, vfs.NewMem(), 3)
	defer closeStore(t, s)
	g.Apply([]rookery.Entry{entry(1, 1, 0, 1, 1, 0, 2, 2, 0, 3, 3, 0, 4, 4)})
	view := g.Read()
	defer view.Close()
	var up, down []byte
	if err := view.Scan([]byte{tableRow, 2}, []byte{tableRow, 4}, func(k, v []byte) (bool, error) {
		up = append(up, v...)
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := view.ScanReverse([]byte{tableRow, 1}, nil, func(k, v []byte) (bool, error) {
		down = append(down, v...)
		return len(down) < 3, nil
	}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(up, []byte{2, 3}) || !bytes.Equal(down, []byte{4, 3, 2}) {
		t.Errorf("scans gave %v and %v", up, down)
	}
	if _, err := view.Get([]byte{tableRetries, 1}); !rookery.Is(err, rookery.KindInvalid) {
		t.Errorf("reading a private table gives %v", err)
	}
	if v, err := view.Get([]byte{tableRow, 99}); v != nil || err != nil {
		t.Errorf("a missing row gives %v, %v", v, err)
	}
}

func TestReopenKeepsEverything(t *testing.T) {
	fs := vfs.NewMem()
	s, g, _ := openLedger(t, fs, 3)
	g.Apply([]rookery.Entry{{Index: 1, Term: 2, Configuration: []byte("c")}, entry(2, 1, 0, 1, 1)})
	want, result, time := dumpGroup(t, g), g.retries.nodes["n1"].kept[1], g.Time()
	closeStore(t, s)
	s, g, _ = openLedger(t, fs, 3)
	defer closeStore(t, s)
	if diff := cmp.Diff(want, dumpGroup(t, g)); diff != "" {
		t.Error(diff)
	}
	if index, _ := g.Applied(); index != 2 || g.Time() != time {
		t.Errorf("applied %d at %d, want 2 at %d", index, g.Time(), time)
	}
	if data, index := g.Configuration(); string(data) != "c" || index != 1 {
		t.Errorf("configuration %q at %d", data, index)
	}
	again := entry(3, 1, 0, 1, 1)
	if got := g.Apply([]rookery.Entry{again}); !bytes.Equal(got[0], result) {
		t.Errorf("sent again after a restart it gives %x, want %x", got[0], result)
	}
}
