package chaos

import (
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// A delivery's UID is learned from the listings; what is wrong with them must
// be seen all the same.
func TestCellSeesBrokenPromises(t *testing.T) {
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	mail := func(id string, from, to int, eventually bool) *entry {
		return &entry{client: 1000, in: input{kind: opAppend, id: id}, call: at(from), ret: at(to), eventually: eventually}
	}
	look := func(from, to int, next uint32, rows ...row) *entry {
		v := view{count: len(rows), next: next, rows: rows}
		for _, r := range rows {
			v.high = max(v.high, r.modseq)
		}
		return &entry{client: 1, in: input{kind: opLook}, out: output{view: v}, call: at(from), ret: at(to)}
	}
	a, b := row{1, 1, "a", 0, 1}, row{2, 2, "b", 0, 2}
	unknown := mail("b", 12, 13, false)
	unknown.out.unknown = true
	for name, c := range map[string]struct {
		right   bool
		history []*entry
	}{
		"right": {true, []*entry{mail("a", 0, 5, false), mail("b", 6, 8, false), look(10, 11, 3, a, b)}},
		"late copy": {true, []*entry{mail("a", 0, 5, true), mail("b", 6, 8, false), look(9, 10, 2, row{1, 1, "b", 0, 2}),
			look(11, 12, 3, row{1, 1, "b", 0, 2}, row{2, 2, "a", 0, 3})}},
		"late without leave": {false, []*entry{mail("a", 0, 5, false), mail("b", 6, 8, false), look(9, 10, 2, row{1, 1, "b", 0, 2}),
			look(11, 12, 3, row{1, 1, "b", 0, 2}, row{2, 2, "a", 0, 3})}},
		"order": {false, []*entry{mail("a", 0, 5, false), mail("b", 6, 8, false),
			look(10, 11, 3, row{1, 1, "b", 0, 1}, row{2, 2, "a", 0, 2})}},
		"twice":             {false, []*entry{mail("a", 0, 5, false), look(10, 11, 3, a, row{2, 2, "a", 0, 2})}},
		"UID left out":      {false, []*entry{mail("a", 0, 5, false), mail("b", 6, 8, false), look(10, 11, 4, a, row{2, 3, "b", 0, 2})}},
		"gone":              {false, []*entry{mail("a", 0, 5, false), mail("b", 6, 8, false), look(9, 10, 3, a, b), look(11, 12, 3, b)}},
		"unknown and never": {true, []*entry{mail("a", 0, 5, false), unknown, look(15, 16, 2, a)}},
		"unknown and late":  {true, []*entry{mail("a", 0, 5, false), unknown, look(15, 16, 2, a), look(17, 18, 3, a, b)}},
	} {
		cell := &cell{storm: &storm{start: start}, history: c.history}
		ops, _ := cell.operations()
		if got := porcupine.CheckOperations(accountModel, slices.Clone(ops)); got != c.right {
			t.Errorf("%s: the checker says %v", name, got)
		}
	}
}
