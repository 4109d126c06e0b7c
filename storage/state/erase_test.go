package state

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
)

// A group that is erased is gone after a power cut, and what others had
// applied before is not. Views of it from before keep their rows; later ones
// do not say that something in it does not exist.
func TestErase(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s, g, _ := openLedger(t, fs, 7)
	others := map[rookery.GroupID]*Group{}
	for _, id := range []rookery.GroupID{6, 8, ^rookery.GroupID(0)} {
		o, err := s.Group(id, func(*Group) Machine { return &ledger{} })
		if err != nil {
			t.Fatal(err)
		}
		o.Apply([]rookery.Entry{{Index: 1, Term: 1, Configuration: []byte("voters")}, entry(2, 1, 0, 1, byte(id))})
		others[id] = o
	}
	g.Apply([]rookery.Entry{{Index: 1, Term: 1, Configuration: []byte("voters")}, entry(2, 1, 0, 5, 9)})
	before := g.Read()
	rows := dump(t, before)
	for range 2 {
		if err := s.Erase(7); err != nil {
			t.Fatal(err)
		}
	}
	if dump(t, before) != rows || rows == "" {
		t.Error("a view that was open lost its rows")
	}
	before.Close()
	after := g.Read()
	if _, err := after.Get([]byte{tableRow, 5}); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("a row of a group that has left: %v", err)
	}
	if err := after.Scan([]byte{FirstTable}, nil, nil); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("rows of a group that has left: %v", err)
	}
	if _, err := after.Cursor([]byte{FirstTable}, nil); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("a cursor over a group that has left: %v", err)
	}
	if _, err := g.Snapshot(); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("an image of a group that has left: %v", err)
	}
	after.Close()
	left := fs.CrashClone(vfs.CrashCloneCfg{})
	closeStore(t, s)
	again, g, _ := openLedger(t, left, 7)
	defer closeStore(t, again)
	if held, err := again.Holds(7); held || err != nil {
		t.Errorf("the group is held: %v", err)
	}
	if index, _ := g.Applied(); index != 0 || dumpGroup(t, g) != "" {
		t.Errorf("it is at %d and holds %q", index, dumpGroup(t, g))
	}
	for id := range others {
		o, err := again.Group(id, func(*Group) Machine { return &ledger{} })
		if err != nil {
			t.Fatal(err)
		}
		if index, _ := o.Applied(); index != 2 {
			t.Errorf("group %d is at %d", id, index)
		}
	}
	// It comes back.
	g.Apply([]rookery.Entry{{Index: 1, Term: 3, Configuration: []byte("voters")}, entry(2, 1, 0, 5, 1)})
	if dumpGroup(t, g) == "" {
		t.Error("what is applied to a group that came back is not there")
	}
}

// The database gives the disk back.
func TestEraseFreesTheDisk(t *testing.T) {
	s, g, _ := openLedger(t, vfs.NewMem(), 7)
	defer closeStore(t, s)
	const rows = 20_000
	for i := range rows {
		b := s.db.NewBatch()
		key := append(g.prefix[:], fmt.Appendf([]byte{0x20}, "%08d", i)...)
		value := make([]byte, 1000)
		for k := range value {
			value[k] = byte(i*k>>3 ^ k*k>>2)
		}
		if err := b.Set(key, value, nil); err != nil {
			t.Fatal(err)
		}
		if err := b.Commit(nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	had := s.db.Metrics().Total().TablesSize
	if err := s.Erase(7); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); s.db.Metrics().Total().TablesSize > had/10; {
		if time.Now().After(end) {
			t.Fatalf("%d bytes of tables were %d", s.db.Metrics().Total().TablesSize, had)
		}
		<-time.After(10 * time.Millisecond)
	}
}
