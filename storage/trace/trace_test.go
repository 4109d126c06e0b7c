package trace

import (
	"fmt"
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

// rows are a change, and what reads it.
type rows struct {
	all   map[string][]byte
	now   int64
	lines uint32
}

func newRows() *rows { return &rows{all: map[string][]byte{}} }

func (w *rows) Get(k tables.Key) []byte     { return w.all[string(k)] }
func (w *rows) Set(k tables.Key, v []byte)  { w.all[string(k)] = v }
func (w *rows) Delete(k tables.Key)         { delete(w.all, string(k)) }
func (w *rows) Time() int64                 { return w.now }
func (w *rows) at(now int64)                { w.now, w.lines = now, 0 }
func (w *rows) sorted() []string            { return slices.Sorted(maps.Keys(w.all)) }
func (w *rows) reader() reader              { return reader{rows: w} }
func (w *rows) run(c command.Command) error { _, err := part.Run(w, c); return err }

func (w *rows) NextLine() uint32 {
	w.lines++
	return w.lines - 1
}

func (w *rows) Scan(k tables.Key, fn func(k, v []byte) bool) {
	for _, x := range w.sorted() {
		if strings.HasPrefix(x, string(k)) && !fn([]byte(x), w.all[x]) {
			return
		}
	}
}

type reader struct {
	state.Reader
	*rows
}

func (r reader) Get(k []byte) ([]byte, error) { return r.rows.Get(k), nil }

func (r reader) Scan(from, to []byte, fn func(k, v []byte) (bool, error)) error {
	for _, k := range r.sorted() {
		if k < string(from) || k >= string(to) {
			continue
		}
		if more, err := fn([]byte(k), r.all[k]); !more || err != nil {
			return err
		}
	}
	return nil
}

var part = tables.Join("a test", Part[*rows]())

const (
	day   = 20_000
	begin = int64(day * 24 * 3600 * 1e9)
)

func (w *rows) read(t *testing.T, from, until int64) (lines []Line) {
	t.Helper()
	last := int64(0)
	if err := Each(w.reader(), from, until, func(at int64, l *Line) (bool, error) {
		if at < last || at < from || at >= until {
			t.Errorf("a line of %d after one of %d", at, last)
		}
		last = at
		lines = append(lines, *l)
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
	return lines
}

// An accepted message has the facts of its sender with every recipient findable,
// in lines of bounded length, and where it was filed.
func TestAccepted(t *testing.T) {
	ring := keys.GenerateKeyring()
	wrapped, err := ring.NewDayKey(4, day)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ring.OpenDay(4, day, wrapped)
	if err != nil {
		t.Fatal(err)
	}
	f := Facts{ID: "abc", From: "a@example.org", MessageID: strings.Repeat("x", 4000), Client: "192.0.2.1", Size: 7}
	for i := range 100 {
		f.To = append(f.To, fmt.Sprintf("somebody-%03d@example.com", i))
	}
	email := rookery.EmailID{3}
	c := &command.Deliver{Email: email, Item: &command.Item{ID: command.ItemID{9}}, Trace: &command.Trace{Day: day, Lines: Seal(k, email, f)}}
	var filed []command.Filed
	for i := range 60 {
		c.Deliveries = append(c.Deliveries, command.Delivery{Account: rookery.AccountID{byte(i)}})
		filed = append(filed, command.Filed{OK: i > 0, Mailbox: 1, UID: rookery.UID(i)})
	}
	w := newRows()
	w.at(begin + 5)
	Accept(w, c, filed, rookery.EmailID{})
	lines := w.read(t, 0, begin+6)
	var to []string
	for i := range lines {
		if len(lines[i].Facts) > 700 {
			t.Errorf("a line of %d bytes", len(lines[i].Facts))
		}
		got, err := lines[i].Open(k)
		if err != nil {
			t.Fatal(err)
		}
		to = append(to, got.To...)
		if (got.From == f.From) != (i == 0) {
			t.Errorf("line %d is from %q", i, got.From)
		}
		other := lines[i]
		other.N++
		if _, err := other.Open(k); !rookery.Is(err, rookery.KindDamaged) {
			t.Errorf("a line opens in another's place: %v", err)
		}
	}
	if !cmp.Equal(to, f.To) {
		t.Errorf("to %v", to)
	}
	first := lines[0]
	if len(first.Places) != maxPlaces || first.More != 9 || first.Missed != 1 || first.Row.Item != c.Item.ID {
		t.Errorf("%d places, %d more, %d missed, item %x", len(first.Places), first.More, first.Missed, first.Row.Item)
	}
	for key, v := range w.all {
		if err := part.CheckRow([]byte(key), v); err != nil {
			t.Error(err)
		}
	}
}

// What cannot be kept is left out, and the message goes on without it.
func TestTakes(t *testing.T) {
	keyed := func(d uint32) bool { return d == day }
	good := &command.Trace{Day: day, Lines: [][]byte{{1}}}
	if Takes(good, keyed) != good {
		t.Error("a good trace is left out")
	}
	for name, bad := range map[string]*command.Trace{
		"none": nil, "no line": {Day: day}, "no key": {Day: day + 1, Lines: [][]byte{{1}}}, "an empty line": {Day: day, Lines: [][]byte{{}}},
		"too long": {Day: day, Lines: [][]byte{make([]byte, command.MaxSealed+1)}},
		"too many": {Day: day, Lines: slices.Repeat([][]byte{{1}}, command.MaxTraceLines+1)},
	} {
		if Takes(bad, keyed) != nil {
			t.Errorf("%s: kept", name)
		}
	}
}

// The oldest lines go first, as many as are wanted, and the days' tallies with
// them.
func TestDrop(t *testing.T) {
	w := newRows()
	for i := range int64(10) {
		w.at(begin + i*(12*3600*1e9))
		Add(w, &Line{Kind: Filed, Email: rookery.EmailID{byte(i)}})
		Add(w, &Line{Kind: Filed, Email: rookery.EmailID{byte(i)}})
	}
	sum := func() (n uint64) {
		days, err := Days(w.reader())
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range days {
			n += d.Lines
		}
		return n
	}
	if n := sum(); n != 20 {
		t.Fatalf("%d lines", n)
	}
	var r command.Result
	var err error
	if r, err = part.Run(w, &command.DropTrace{Before: begin + 24*3600*1e9, Most: 3}); err != nil {
		t.Fatal(err)
	}
	if got := r.(*command.PurgeResult); got.Purged != 3 || !got.More || sum() != 17 {
		t.Errorf("%+v, %d left", got, sum())
	}
	if r, err = part.Run(w, &command.DropTrace{Before: begin + 24*3600*1e9, Most: 3}); err != nil {
		t.Fatal(err)
	}
	if got := r.(*command.PurgeResult); got.Purged != 1 || got.More || sum() != 16 || Of(w, day).Lines != 0 || Of(w, day+1).Lines != 4 {
		t.Errorf("%+v, %d left", got, sum())
	}
	if at, err := Oldest(w.reader()); err != nil || at != begin+24*3600*1e9 {
		t.Errorf("the oldest is of %d, %v", at, err)
	}
	if err := w.run(&command.DropTrace{Before: begin}); !rookery.Is(err, rookery.KindInvalid) {
		t.Errorf("none at most: %v", err)
	}
	for err == nil && sum() > 0 {
		err = w.run(&command.DropTrace{Before: 1 << 62, Most: 5000})
	}
	if len(w.all) > 0 {
		t.Errorf("%d rows left, %v", len(w.all), err)
	}
}
