package consensus

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hashicorp/raft"

	"rookery"
)

// failingLog is a log whose writes fail after some, as a machine without power.
type failingLog struct {
	*raft.InmemStore
	left int
}

var errNoPower = errors.New("no power")

func (f *failingLog) step() error {
	if f.left--; f.left < 0 {
		return errNoPower
	}
	return nil
}

func (f *failingLog) SetUint64(key []byte, v uint64) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.InmemStore.SetUint64(key, v)
}

func (f *failingLog) DeleteRange(lo, hi uint64) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.InmemStore.DeleteRange(lo, hi)
}

// StoreLogs may leave the first of the entries behind when it fails.
func (f *failingLog) StoreLogs(logs []*raft.Log) error {
	for _, l := range logs {
		if err := f.step(); err != nil {
			return err
		}
		if err := f.InmemStore.StoreLogs([]*raft.Log{l}); err != nil {
			return err
		}
	}
	return nil
}

// tailed is a log of ten entries of which two may have been changed by others.
func tailed(t *testing.T) (*failingLog, *journal, Position) {
	t.Helper()
	log := &failingLog{InmemStore: raft.NewInmemStore(), left: 1 << 30}
	for i := range uint64(10) {
		l := &raft.Log{Index: i + 1, Term: 3, Type: raft.LogCommand, Data: fmt.Appendf(nil, "c%d=v", i+1)}
		if i == 8 {
			l.Type, l.Data = raft.LogNoop, nil
		}
		if err := log.StoreLog(l); err != nil {
			t.Fatal(err)
		}
	}
	m := &journal{}
	m.now.Index, m.now.Term = 6, 3
	from, err := Inspect(log, m)
	if err != nil {
		t.Fatal(err)
	}
	return log, m, from
}

// What a log holds above the entry that is kept stands behind the beginning of
// the new term afterwards, without what only the old one meant; cut off after
// any write and repeated, the log is the same.
func TestRebuildIsRepeated(t *testing.T) {
	const keep, term = 7, 100
	self := Server{ID: "a", Address: "a"}
	for cut := 0; ; cut++ {
		log, m, from := tailed(t)
		tail, err := Tail(log, keep, from.Last)
		if err != nil || len(tail) != 2 {
			t.Fatalf("the tail is %q, %v", tail, err)
		}
		commands := [][]byte{[]byte("before=v"), tail[0], tail[1], []byte("after=v")}
		log.left = cut
		first := Rebuild(log, m, from, keep, term, self, commands)
		if first != nil && !errors.Is(first, errNoPower) {
			t.Fatal(first)
		}
		for range 2 {
			log.left = 1 << 30
			if err := Rebuild(log, m, from, keep, term, self, commands); err != nil {
				t.Fatalf("cut off after %d writes: %v", cut, err)
			}
		}
		var got []string
		last, _ := log.LastIndex()
		for i := uint64(keep); i <= last; i++ {
			var l raft.Log
			if err := log.GetLog(i, &l); err != nil {
				t.Fatal(err)
			}
			text := string(l.Data)
			if l.Type != raft.LogCommand {
				text = l.Type.String()
			}
			got = append(got, fmt.Sprintf("%d:%s", l.Term, text))
		}
		want := "[3:c7=v 100:LogConfiguration 100:before=v 100:c8=v 100:c10=v 100:after=v]"
		if fmt.Sprint(got) != want {
			t.Errorf("cut off after %d writes: %v, want %s", cut, got, want)
		}
		if p, err := Inspect(log, m); err != nil || len(p.Servers) != 1 || p.Servers[0] != self || p.Term != term {
			t.Errorf("cut off after %d writes: %+v, %v", cut, p, err)
		}
		if first == nil {
			if cut < 7 {
				t.Fatalf("the test's own premise: done after %d writes", cut)
			}
			return
		}
	}
}

// A log that moved since the decision is not touched.
func TestRebuildRefuses(t *testing.T) {
	self := Server{ID: "a", Address: "a"}
	log, m, from := tailed(t)
	for name, c := range map[string]struct {
		keep rookery.LogIndex
		term uint64
	}{"an entry above is applied": {5, 100}, "the term is old": {7, 3}} {
		if err := Rebuild(log, m, from, c.keep, c.term, self, nil); err == nil {
			t.Errorf("%s: done", name)
		}
	}
	done, m, from := tailed(t)
	commands := [][]byte{[]byte("a=v"), []byte("b=v"), []byte("c=v")}
	if err := Rebuild(done, m, from, 7, 100, self, commands); err != nil {
		t.Fatal(err)
	}
	if err := Rebuild(done, m, from, 7, 100, self, commands[:1]); !rookery.Is(err, rookery.KindConflict) {
		t.Errorf("a log that was rebuilt and went on: %v", err)
	}
	if last, _ := done.LastIndex(); last != 11 {
		t.Errorf("it ends at %d", last)
	}
	if err := log.StoreLog(&raft.Log{Index: 11, Term: 4, Type: raft.LogCommand, Data: []byte("x=v")}); err != nil {
		t.Fatal(err)
	}
	if err := Rebuild(log, m, from, 7, 100, self, nil); !rookery.Is(err, rookery.KindConflict) {
		t.Errorf("a log that went on: %v", err)
	}
	if last, _ := log.LastIndex(); last != 11 {
		t.Errorf("the log ends at %d", last)
	}
}
