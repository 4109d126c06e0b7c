package state

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
)

// forgetter is a machine whose every command forgets the node it names.
type forgetter struct{ runs int }

func (m *forgetter) Apply(tx Tx, entry []byte) []byte {
	m.runs++
	if node := entry[tx.Offset():]; len(node) > 0 {
		if err := tx.Forget(rookery.NodeID(node)); err != nil {
			panic(err)
		}
	}
	return OK(nil)
}

func (*forgetter) Restored() {}

func openForgetter(t *testing.T, fs vfs.FS) (*Store, *Group, *forgetter) {
	t.Helper()
	s, err := Open("state", fs, Options{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	m := &forgetter{}
	g, err := s.Group(1, func(*Group) Machine { return m })
	if err != nil {
		t.Fatal(err)
	}
	return s, g, m
}

// retryRows counts the rows kept for a node.
func retryRows(t *testing.T, g *Group, node rookery.NodeID) (n int) {
	t.Helper()
	s := g.Read()
	defer s.Close()
	from := retryKey(node, 0)
	if err := scanRows(s.snap, g, from, append(bytes.Clone(from[:len(from)-2]), 0xff, 0xff), false, func(_, _ []byte) (bool, error) {
		n++
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// A forgotten node leaves one row, and whatever it sent or sends is refused:
// also after a restart, from an image, and of an epoch never seen.
func TestForgottenNodes(t *testing.T) {
	fs := vfs.NewMem()
	s, g, m := openForgetter(t, fs)
	for seq := range uint64(9) {
		send(g, Header{Node: "gone", Epoch: 3, Seq: seq + 1})
		send(g, Header{Node: "gone2", Epoch: 3, Seq: seq + 1})
	}
	if is, err := g.Forgotten("gone"); is || err != nil {
		t.Fatal("forgotten before:", is, err)
	}
	for seq := range uint64(2) { // it is idempotent
		if err := ResultError("x", send(g, Header{Node: "n", Epoch: 1, Seq: seq + 1}, []byte("gone")...)); err != nil {
			t.Fatal(err)
		}
	}
	check := func(where string, g *Group, m *forgetter) {
		t.Helper()
		runs := m.runs
		for _, h := range []Header{{Epoch: 3, Seq: 9}, {Epoch: 3, Seq: 10}, {Epoch: 4, Seq: 1}, {Epoch: forgotten, Seq: 1}} {
			h.Node = "gone"
			if err := ResultError("x", send(g, h)); !errors.Is(err, ErrFenced) {
				t.Errorf("%s: %+v gives %v", where, h, err)
			}
		}
		if m.runs != runs {
			t.Errorf("%s: a command of a forgotten node ran", where)
		}
		if is, err := g.Forgotten("gone"); !is || err != nil {
			t.Errorf("%s: it is not forgotten: %v", where, err)
		}
		if is, _ := g.Forgotten("gone2"); is || retryRows(t, g, "gone") != 1 || retryRows(t, g, "gone2") != 9 {
			t.Errorf("%s: %d rows of the node, %d of another", where, retryRows(t, g, "gone"), retryRows(t, g, "gone2"))
		}
		if r := send(g, Header{Node: "gone2", Epoch: 3, Seq: 9}); len(r) == 0 || m.runs != runs {
			t.Errorf("%s: another node's command ran again", where)
		}
	}
	check("live", g, m)
	image, err := g.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := image.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	image.Close()
	closeStore(t, s)
	s, g, m = openForgetter(t, fs)
	check("after a restart", g, m)
	closeStore(t, s)
	s, g, m = openForgetter(t, vfs.NewMem())
	if err := g.Restore(bytes.NewReader(b.Bytes())); err != nil {
		t.Fatal(err)
	}
	check("from an image", g, m)
	// A node that forgets itself is answered, and is forgotten.
	if err := ResultError("x", send(g, Header{Node: "self", Epoch: 1, Seq: 1}, []byte("self")...)); err != nil {
		t.Error(err)
	}
	if err := ResultError("x", send(g, Header{Node: "self", Epoch: 1, Seq: 2})); !errors.Is(err, ErrFenced) {
		t.Error("after it has forgotten itself:", err)
	}
	closeStore(t, s)
}
