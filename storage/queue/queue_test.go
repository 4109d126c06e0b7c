package queue

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/state"
	"rookery/storage/tables"
)

// rows is a command in execution over a map, and the view of it afterwards.
type rows struct {
	all     map[string][]byte
	now     int64
	wrote   []string // keys, one for each write
	dropped []command.BodyID
	floor   uint32 // lowest tenant key version
	lines   uint32 // of the trace
}

func (w *rows) Get(k tables.Key) []byte { return w.all[string(k)] }

func (w *rows) Set(k tables.Key, v []byte) {
	w.all[string(k)] = v
	w.wrote = append(w.wrote, string(k))
}

func (w *rows) Delete(k tables.Key) {
	delete(w.all, string(k))
	w.wrote = append(w.wrote, string(k))
}

func (w *rows) Any(k tables.Key) bool {
	for x := range w.all {
		if strings.HasPrefix(x, string(k)) {
			return true
		}
	}
	return false
}

func (w *rows) Scan(k tables.Key, fn func(k, v []byte) bool) {
	for _, x := range slices.Sorted(maps.Keys(w.all)) {
		if strings.HasPrefix(x, string(k)) && !fn([]byte(x), w.all[x]) {
			return
		}
	}
}

func (w *rows) Time() int64 { return w.now }

func (w *rows) TakesWrap(wrapped []byte) error {
	if keys.WrappedUnder(wrapped) < w.floor {
		return tables.Refuse(rookery.KindConflict, "given up")
	}
	return nil
}

func (w *rows) NextLine() uint32 {
	w.lines++
	return w.lines
}

func (w *rows) DropBody(id command.BodyID) { w.dropped = append(w.dropped, id) }

// view implements state.Reader as far as the queue reads.
type view struct {
	state.Reader
	*rows
}

func (v view) Get(k []byte) ([]byte, error) { return v.rows.Get(k), nil }

func (v view) Scan(from, to []byte, fn func(k, v []byte) (bool, error)) error {
	for _, k := range slices.Sorted(maps.Keys(v.all)) {
		if k < string(from) || bytes.Compare([]byte(k), to) >= 0 {
			continue
		}
		if more, err := fn([]byte(k), v.all[k]); !more || err != nil {
			return err
		}
	}
	return nil
}

func newRows() *rows { return &rows{all: map[string][]byte{}, now: 1} }

func item(id byte, groups ...rookery.GroupID) *command.Item {
	x := &command.Item{ID: command.ItemID{id}, Kind: command.Message}
	for _, g := range groups {
		x.Rows = append(x.Rows, command.ItemRow{Kind: command.ToGroup, Group: g, Deliveries: []command.Delivery{{Mailbox: 7}}})
	}
	return x
}

func (w *rows) add(t *testing.T, x *command.Item) []Due {
	t.Helper()
	if err := Check(w, x); err != nil {
		t.Fatal(err)
	}
	return Add(w, x, rookery.EmailID{x.ID[0]}, command.BodyID(x.ID[0]), 100)
}

func (w *rows) done(t *testing.T, id byte, n uint32) {
	t.Helper()
	if _, err := result(w, &command.ItemResult{Item: command.ItemID{id}, Row: n}); err != nil {
		t.Fatal(err)
	}
}

// A result writes its own row and index entry, however many rows the item has;
// the last one ends the item and lets go of the body, once.
func TestAResultTouchesItsOwnRow(t *testing.T) {
	w := newRows()
	due := w.add(t, item(1, 3, 4, 5))
	w.add(t, item(2, 3))
	for n, x := range due[:2] {
		w.now++
		w.wrote = nil
		w.done(t, 1, x.N)
		want := []string{string(rowKey(x.Ref)), string(dueKey(command.ToGroup, command.Message, x.At, x.Ref))}
		if d := cmp.Diff(want, w.wrote); d != "" || len(w.dropped) > 0 {
			t.Errorf("row %d wrote %s and let go of %v", n, d, w.dropped)
		}
	}
	w.done(t, 1, 9) // there is no such row
	for range 2 {
		w.done(t, 1, 2)
		if !slices.Equal(w.dropped, []command.BodyID{1}) {
			t.Errorf("let go of the bodies %v", w.dropped)
		}
	}
	if open, _ := Open(view{rows: w}, command.ItemID{}, 9); len(open) != 1 || open[0] != (command.ItemID{2}) || len(w.all) != 3 {
		t.Errorf("open: %v, %d rows", open, len(w.all))
	}
}

// fanOut are the rows for other groups.
var fanOut = Class{command.ToGroup, command.Message}

func TestDueByTime(t *testing.T) {
	w := newRows()
	var all []Due
	for _, x := range []struct {
		id byte
		at int64
	}{{9, 10}, {2, 20}, {5, 30}} {
		w.now = x.at
		all = append(all, w.add(t, item(x.id, 3, 4))...)
	}
	v := view{rows: w}
	var paged []Due
	for after := (Due{}); ; {
		page, err := DueBy(v, fanOut, 20, after, 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		paged, after = append(paged, page...), page[len(page)-1]
	}
	if d := cmp.Diff(all[:4], paged); d != "" {
		t.Error(d)
	}
	if got, _ := DueBy(v, fanOut, 9, Due{}, 9); len(got) > 0 {
		t.Errorf("due before their time: %v", got)
	}
	first := Header{Kind: command.Message, Email: rookery.EmailID{9}, Body: 9, Size: 100, Time: 10}
	h, row, err := Find(v, all[1].Ref)
	if err != nil || !cmp.Equal(h, first) || row.Group != 4 || row.Due != 10 ||
		row.Deliveries[0].Mailbox != 7 {
		t.Errorf("%+v %+v %v", h, row, err)
	}
	if _, _, err := Find(v, Ref{Item: command.ItemID{9}, N: 2}); !rookery.Is(err, rookery.KindNotFound) {
		t.Error(err)
	}
}

func TestWhatCannotBeAdded(t *testing.T) {
	w := newRows()
	w.add(t, item(1, 3))
	later, later2 := item(2, 3), item(2, 3, 4)
	later.Kind = 9
	later2.Rows[1].Kind = 9
	for kind, xs := range map[rookery.Kind][]*command.Item{
		rookery.KindExists:  {item(1, 4)},
		rookery.KindInvalid: {item(2), later, later2},
		rookery.KindLimit:   {{ID: command.ItemID{2}, Kind: command.Message, Rows: make([]command.ItemRow, command.MaxDeliveries+1)}},
	} {
		for _, x := range xs {
			if err := Check(w, x); !rookery.Is(err, kind) {
				t.Errorf("%d rows: %v, want %v", len(x.Rows), err, kind)
			}
		}
	}
}

func TestTablesAreDeclared(t *testing.T) {
	p := tables.Join("a test", Part[*rows]())
	if missing := p.Incomplete(); len(missing) > 0 {
		t.Errorf("%s", strings.Join(missing, "\n"))
	}
	w := newRows()
	w.add(t, item(1, 3, 4))
	for k, v := range w.all {
		if err := p.CheckRow([]byte(k), v); err != nil {
			t.Error(err)
		}
	}
}
