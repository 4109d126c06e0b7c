package state

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"rookery"
)

// archiving is a ledger with commands for the archive.
type archiving struct{ ledger }

func (m *archiving) Apply(tx Tx, entry []byte) []byte {
	cmd, about := bytes.CutPrefix(entry[tx.Offset():], []byte("archived"))
	if !about {
		return m.ledger.Apply(tx, entry)
	}
	err := tx.EndArchive
	if len(cmd) > 0 {
		err = func() error { return tx.SetArchived(rookery.LogIndex(binary.BigEndian.Uint64(cmd))) }
	}
	if err := err(); err != nil {
		return Refuse(rookery.KindOf(err), err.Error())
	}
	return OK(nil)
}

func openArchiving(t testing.TB, fs vfs.FS) (*Store, *Group) {
	t.Helper()
	s, err := Open("state", fs, Options{Logger: quiet(), MemTableBytes: 1 << 20, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	g, err := s.Group(2, func(*Group) Machine { return &archiving{} })
	if err != nil {
		t.Fatal(err)
	}
	return s, g
}

func archivedUpto(index, seq, upto uint64) rookery.Entry {
	return entry(index, seq, append([]byte("archived"), binary.BigEndian.AppendUint64(nil, upto)...)...)
}

func verdicts(t *testing.T, g *Group) (all []Verdict) {
	t.Helper()
	s := g.Read()
	defer s.Close()
	if err := s.Verdicts(0, 1<<40, func(v Verdict) bool { all = append(all, v); return true }); err != nil {
		t.Fatal(err)
	}
	return all
}

func wantVerdicts(t *testing.T, g *Group, want ...Verdict) {
	t.Helper()
	if d := cmp.Diff(want, verdicts(t, g)); d != "" {
		t.Error(d)
	}
}

func TestVerdictsAreKeptWhileTheArchiveAsks(t *testing.T) {
	fs := vfs.NewMem()
	s, g := openArchiving(t, fs)
	defer func() { closeStore(t, s) }()
	g.Apply([]rookery.Entry{entry(1, 1, 0, 1, 1)})
	wantVerdicts(t, g)

	// The first says what it likes: the archive begins with its own entry.
	g.Apply([]rookery.Entry{archivedUpto(2, 2, 77), entry(3, 3, 0, 2, 2)})
	g.Apply([]rookery.Entry{
		entry(4, 3, 0, 2, 2), // again
		{Index: 5, Term: 1, Data: []byte("no envelope")},
		entry(6, 4, 0, 2), // malformed
		{Index: 7, Term: 1},
		{Index: 8, Term: 2, Data: Wrap(Header{Node: "n1", Epoch: 2, Seq: 9, Low: 9, Time: 1}, []byte{0, 3, 3})}, // a slow clock
		entry(9, 5, 0, 4, 4), // of the epoch before
		{Index: 10, Term: 2, Data: Wrap(Header{Node: "n1", Epoch: 2, Seq: 1, Low: 1, Time: 1e6}, []byte{0, 4, 4})},
	})
	all := []Verdict{{3, 3000, Executed}, {4, 3000, Duplicate}, {5, 3000, Refused}, {6, 4000, Refused}, {8, 4001, Executed},
		{9, 4001, Fenced}, {10, 4001, Forgotten}}
	wantVerdicts(t, g, all...)

	im, err := g.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	var image bytes.Buffer
	if _, err := im.WriteTo(&image); err != nil {
		t.Fatal(err)
	}
	im.Close()
	send := func(index, seq, upto uint64) error {
		e := archivedUpto(index, seq, upto)
		e.Data = Wrap(Header{Node: "n1", Epoch: 2, Seq: seq, Low: seq, Time: 5000}, e.Data[len(e.Data)-16:])
		return ResultError("archived", g.Apply([]rookery.Entry{e})[0])
	}
	if err := send(11, 10, 12); !rookery.Is(err, rookery.KindInvalid) {
		t.Errorf("entry 11 says that the archive has 12: %v", err)
	}
	closeStore(t, s)
	s, g = openArchiving(t, fs)
	if err := send(12, 11, 6); err != nil {
		t.Error(err)
	}
	after := append(all[4:len(all):len(all)], Verdict{11, 5000, Refused}, Verdict{12, 5001, Executed})
	wantVerdicts(t, g, after...)
	if err := send(13, 12, 3); err != nil { // late
		t.Error(err)
	}
	wantVerdicts(t, g, append(after, Verdict{13, 5002, Executed})...)

	// What an image brings is kept, and goes on.
	if err := g.Restore(&image); err != nil {
		t.Fatal(err)
	}
	wantVerdicts(t, g, all...)
	if err := send(11, 10, 9); err != nil {
		t.Error(err)
	}
	wantVerdicts(t, g, Verdict{10, 4001, Forgotten}, Verdict{11, 5000, Executed})
	view := g.Read()
	if upto, on, err := view.Archived(); upto != 9 || !on || err != nil {
		t.Error(upto, on, err)
	}
	view.Close()

	g.Apply([]rookery.Entry{{Index: 12, Term: 2, Data: Wrap(Header{Node: "n1", Epoch: 2, Seq: 11, Low: 11, Time: 1}, []byte("archived"))}})
	g.Apply([]rookery.Entry{entry(13, 1, 0, 1, 1)})
	wantVerdicts(t, g)
	view = g.Read()
	defer view.Close()
	if _, on, err := view.Archived(); on || err != nil {
		t.Error("the archive has not ended", err)
	}
}

// What was executed is executed again, as it was, whatever is left out.
func TestReplay(t *testing.T) {
	s, g := openArchiving(t, vfs.NewMem())
	defer func() { closeStore(t, s) }()
	one, two := entry(4, 1, 0, 1, 1), entry(9, 7, 0, 2, 2)
	results, err := g.Replay([]Replayed{{one, 50}, {two, 60}})
	if err != nil || len(results) != 2 || ResultError("replay", results[0]) != nil {
		t.Fatal(results, err)
	}
	again := two
	again.Index = 12 // no duplicate: the archive's verdict has said so
	if results, err = g.Replay([]Replayed{{again, 70}}); err != nil {
		t.Fatal(err)
	}
	sum := digest(digest(digest(nil, 4, 50, []byte{0, 1, 1}), 9, 60, []byte{0, 2, 2}), 12, 70, []byte{0, 2, 2})
	if !bytes.Equal(DecodeResult(results[0]).Value, sum) {
		t.Error("the machine was not told indexes and times of the archive")
	}
	for _, wrong := range [][]Replayed{{{again, 80}}, {{entry(13, 1), 70}}, {{entry(14, 1), 80}, {entry(13, 2), 90}},
		{{entry(13, 1), 80}, {entry(14, 2), 80}}} {
		if _, err := g.Replay(wrong); !rookery.Is(err, rookery.KindInvalid) {
			t.Errorf("out of order: %v", err)
		}
	}
	if index, _ := g.Applied(); index != 12 || g.Time() != 70 {
		t.Error(index, g.Time())
	}
}
