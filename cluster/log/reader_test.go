package log

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
)

// otherLog is a peer, asked like one.
type otherLog struct {
	g     *Group
	asked []rookery.LogIndex
	spoil func([]byte)
}

func (o *otherLog) Entry(_ context.Context, _ rookery.GroupID, index rookery.LogIndex, term uint64) ([]byte, error) {
	o.asked = append(o.asked, index)
	if o.g == nil {
		return nil, rookery.E("ask", rookery.KindUnavailable, fmt.Errorf("node3 does not answer and may have it"))
	}
	b, err := o.g.Record(index, term)
	if err == nil && o.spoil != nil {
		o.spoil(b)
	}
	return b, err
}

func readAll(t *testing.T, g *Group, r Range, peers Peers) (got []Entry, err error) {
	t.Helper()
	err = g.Read(t.Context(), r, peers, func(e Entry) error { got = append(got, e); return nil })
	return got, err
}

func wantRead(t *testing.T, g *Group, r Range, peers Peers, term uint64, size int) {
	t.Helper()
	got, err := readAll(t, g, r, peers)
	if err != nil || len(got) != int(r.To-r.From)+1 {
		t.Fatalf("%+v: %d entries, %v", r, len(got), err)
	}
	for i, e := range got {
		want := entry(uint64(r.From)+uint64(i), term, size)
		if uint64(e.Index) != want.Index || e.Term != term || !bytes.Equal(e.Data, want.Data) {
			t.Fatalf("%+v: entry %d of term %d is another", r, e.Index, e.Term)
		}
	}
}

// A range comes from Raft's range, from what a reset left, from single bodies
// and from peers, and each entry is of the term that was asked for.
func TestReadRange(t *testing.T) {
	l, other := open(t, vfs.NewMem()), open(t, vfs.NewMem())
	g, p := group(t, l, 1), group(t, other, 1)
	peer := &otherLog{g: p}
	fill(t, p, 1, 60, 3, 2000)
	fill(t, g, 1, 20, 2, 2000) // a tail that was never committed
	if err := g.DeleteRange(1, 20); err != nil {
		t.Fatal(err)
	}
	for i := uint64(30); i < 40; i++ { // bodies that an image speaks of
		if err := g.PutBody(rookery.LogIndex(i), 3, entry(i, 3, 2000).Data); err != nil {
			t.Fatal(err)
		}
	}
	fill(t, g, 41, 60, 3, 2000)
	wantRead(t, g, Range{1, 20, 2}, nil, 2, 2000)
	wantRead(t, g, Range{30, 39, 3}, nil, 3, 2000)
	wantRead(t, g, Range{41, 60, 0}, nil, 3, 2000)
	if len(peer.asked) > 0 {
		t.Errorf("peers were asked for %v", peer.asked)
	}
	wantRead(t, g, Range{1, 60, 3}, peer, 3, 2000)
	if len(peer.asked) != 30 {
		t.Errorf("%d entries were asked for, 30 are not here: %v", len(peer.asked), peer.asked)
	}
	// Without a term what was never committed here must not pass for it.
	wantRead(t, g, Range{1, 60, 0}, peer, 3, 2000)
	if first, last := g.Lacks(7, 50); first != 7 || last != 40 {
		t.Errorf("it lacks %d to %d", first, last)
	}
	if first, last := g.Lacks(41, 60); first != 0 || last != 0 {
		t.Errorf("it lacks %d to %d, and has them", first, last)
	}
}

func TestReadRangeThatNobodyHas(t *testing.T) {
	l, other := open(t, vfs.NewMem()), open(t, vfs.NewMem())
	g, p := group(t, l, 1), group(t, other, 1)
	fill(t, g, 1, 5, 2, 100)
	fill(t, p, 1, 9, 4, 100)
	for name, c := range map[string]struct {
		r     Range
		peers Peers
		kind  rookery.Kind
		read  int
	}{
		"no peers":              {Range{4, 7, 2}, nil, rookery.KindNotFound, 2},
		"of another term here":  {Range{1, 5, 3}, nil, rookery.KindNotFound, 0},
		"of another term there": {Range{4, 7, 2}, &otherLog{g: p}, rookery.KindNotFound, 2},
		"a peer is away":        {Range{4, 7, 2}, &otherLog{}, rookery.KindUnavailable, 2},
		"a peer's disk lies":    {Range{6, 7, 4}, &otherLog{g: p, spoil: func(b []byte) { b[recordHead] ^= 1 }}, rookery.KindDamaged, 0},
		"a peer gives a neighbour": {Range{6, 7, 4}, &otherLog{g: p, spoil: func(b []byte) {
			o, _ := p.Record(8, 4)
			copy(b, o)
		}}, rookery.KindDamaged, 0},
		"no range":    {Range{7, 6, 2}, nil, rookery.KindInvalid, 0},
		"from naught": {Range{0, 6, 2}, nil, rookery.KindInvalid, 0},
	} {
		got, err := readAll(t, g, c.r, c.peers)
		if !rookery.Is(err, c.kind) || len(got) != c.read {
			t.Errorf("%s: %d entries, %v", name, len(got), err)
		}
	}
}
