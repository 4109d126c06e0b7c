package queue

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/tables"
	"rookery/storage/trace"
)

var (
	outgoing = Class{command.ToRemote, command.Message}
	one      = command.Courier{Node: "n1", Epoch: 3}
	two      = command.Courier{Node: "n2", Epoch: 1}
)

const today = 20_000

// remote adds an item with rows for other systems.
func (w *rows) remote(t *testing.T, id byte, rows int, change ...func(*command.Item)) {
	t.Helper()
	if w.all[string(dayKey(today))] == nil {
		wrapped, err := keys.GenerateKeyring().NewDayKey(4, today)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := setDayKey(w, &command.SetDayKey{Day: today, Key: wrapped}); err != nil {
			t.Fatal(err)
		}
	}
	x := &command.Item{ID: command.ItemID{id}, Kind: command.Message, Day: today, Key: []byte{1}, Envelope: []byte{2}}
	for n := range rows {
		x.Rows = append(x.Rows, command.ItemRow{Kind: command.ToRemote, Recipient: []byte{byte(n + 1)}})
	}
	for _, c := range change {
		c(x)
	}
	w.add(t, x)
}

func ref(id byte, n uint32) Ref { return Ref{Item: command.ItemID{id}, N: n} }

// due are the rows for other systems that are due now.
func (w *rows) due(t *testing.T) (due []Ref) {
	t.Helper()
	all, err := DueBy(view{rows: w}, outgoing, w.now, Due{}, 99)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range all {
		due = append(due, x.Ref)
	}
	return due
}

func (w *rows) begin(t *testing.T, by command.Courier, gone []command.Courier, refs ...Ref) []bool {
	t.Helper()
	r, err := beginAttempts(w, &command.BeginAttempts{By: by, Rows: refs, Gone: gone})
	if err != nil {
		t.Fatal(err)
	}
	return r.(*command.RowsResult).Done
}

func (w *rows) ends(t *testing.T, by command.Courier, ends ...command.AttemptEnd) []bool {
	t.Helper()
	r, err := endAttempts(w, &command.EndAttempts{By: by, Rows: ends})
	if err != nil {
		t.Fatal(err)
	}
	return r.(*command.RowsResult).Done
}

func (w *rows) steer(t *testing.T, how command.Steering, refs ...Ref) []bool {
	t.Helper()
	c := &command.SteerRows{How: how, Rows: refs}
	if how == command.RerouteRow {
		c.NextHop = "old.example:25"
	}
	r, err := steerRows(w, c)
	if err != nil {
		t.Fatal(err)
	}
	return r.(*command.RowsResult).Done
}

func (w *rows) row(t *testing.T, x Ref) Row {
	t.Helper()
	_, row, err := Find(view{rows: w}, x)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

func want[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s: %s", what, d)
	}
}

// One courier has a row at a time, and another gets it only when the first one's
// life is known to be over.
func TestOneCourierHasARow(t *testing.T) {
	w := newRows()
	w.remote(t, 1, 2)
	a, b := ref(1, 0), ref(1, 1)
	want(t, "due", w.due(t), []Ref{a, b})
	want(t, "given", w.begin(t, one, nil, a), []bool{true})
	want(t, "given again to the same", w.begin(t, one, nil, a), []bool{true})
	want(t, "given to another", w.begin(t, two, nil, a, b, ref(9, 0)), []bool{false, true, false})
	want(t, "due while they are tried", w.due(t), nil)
	held, err := Attempted(view{rows: w}, Ref{}, 9)
	want(t, "attempted", held, []Ref{a, b})
	if err != nil {
		t.Error(err)
	}
	want(t, "given to another life of the node", w.begin(t, command.Courier{Node: "n1", Epoch: 4}, []command.Courier{two}, a), []bool{false})
	want(t, "taken from the dead", w.begin(t, two, []command.Courier{one}, a), []bool{true})
	want(t, "ended by the dead", w.ends(t, one, command.AttemptEnd{Row: a, Again: 10}), []bool{false})
	if w.row(t, a).By != two {
		t.Error("who had it before took it away")
	}
	w.now = 100
	want(t, "ended", w.ends(t, two, command.AttemptEnd{Row: a, Again: 10, Last: []byte{7}}), []bool{true})
	row := w.row(t, a)
	if row.Due != 110 || row.Tries != 1 || row.Taken() || !slices.Equal(row.Last, []byte{7}) {
		t.Errorf("%+v", row)
	}
	want(t, "due too early", w.due(t), nil)
	w.now = 110
	want(t, "due again", w.due(t), []Ref{a})
	// The recipient has it, whoever is thought to send it.
	want(t, "done by the dead", w.ends(t, one, command.AttemptEnd{Row: b, Done: true}), []bool{true})
	want(t, "put off", w.ends(t, one, command.AttemptEnd{Row: a, Again: 20}), []bool{true})
	want(t, "due after it was put off", w.due(t), nil)
	w.now = 130
	w.begin(t, two, nil, a)
	want(t, "put off while it is sent", w.ends(t, one, command.AttemptEnd{Row: a, Again: 20}), []bool{false})
	want(t, "done", w.ends(t, two, command.AttemptEnd{Row: a, Done: true}), []bool{true})
	want(t, "bodies let go of", w.dropped, []command.BodyID{1})
	if tally, err := Owed(view{rows: w}); err != nil || tally != (Tally{}) {
		t.Errorf("owed %+v, %v", tally, err)
	}
}

// Between stopping and sending the log decides.
func TestSteering(t *testing.T) {
	w := newRows()
	w.remote(t, 1, 1)
	w.remote(t, 2, 1, func(x *command.Item) { x.Held = true })
	w.remote(t, 3, 1, func(x *command.Item) { x.Delay = 50 })
	a, held, later := ref(1, 0), ref(2, 0), ref(3, 0)
	want(t, "due", w.due(t), []Ref{a})
	want(t, "a held row is given", w.begin(t, one, nil, held), []bool{false})
	r, err := beginAttempts(w, &command.BeginAttempts{By: one, Rows: []Ref{held}, Held: true})
	if err != nil || !r.(*command.RowsResult).Done[0] {
		t.Errorf("a held row is not given to be sent back: %v", err)
	}
	w.ends(t, one, command.AttemptEnd{Row: held})
	want(t, "due although it is held", w.due(t), []Ref{a})
	want(t, "released", w.steer(t, command.ReleaseRow, held, a), []bool{true, false})
	want(t, "made due", w.steer(t, command.RetryRow, later), []bool{true})
	want(t, "due", w.due(t), []Ref{a, held, later})
	w.begin(t, one, nil, a)
	want(t, "cancelled while it is sent", w.steer(t, command.CancelRow, a), []bool{false})
	want(t, "held while it is sent", w.steer(t, command.HoldRow, a), []bool{true})
	w.ends(t, one, command.AttemptEnd{Row: a, Again: 0})
	want(t, "due", w.due(t), []Ref{held, later})
	want(t, "put off while held", w.ends(t, one, command.AttemptEnd{Row: a, Again: 5}), []bool{false})
	want(t, "rerouted while held", w.steer(t, command.RerouteRow, a), []bool{true})
	want(t, "released", w.steer(t, command.ReleaseRow, a), []bool{true})
	if got := w.row(t, a).NextHop; got != "old.example:25" {
		t.Errorf("next hop %q", got)
	}
	want(t, "cancelled", w.steer(t, command.CancelRow, a, held, later, a), []bool{true, true, true, false})
	want(t, "bodies let go of", w.dropped, []command.BodyID{1, 2, 3})
	if open, _ := Open(view{rows: w}, command.ItemID{}, 9); len(open) > 0 {
		t.Errorf("open: %v", open)
	}
}

// Of two notifications of the same failure one is accepted.
func TestToldOnce(t *testing.T) {
	w := newRows()
	w.remote(t, 1, 2)
	a, b := ref(1, 0), ref(1, 1)
	late := &command.Tells{Rows: []Ref{a}, Delay: true}
	failed := &command.Tells{Rows: []Ref{a, b}}
	for _, x := range []*command.Tells{late, failed} {
		if err := CheckTells(w, x); err != nil {
			t.Fatal(err)
		}
		Told(w, x)
		if err := CheckTells(w, x); !rookery.Is(err, rookery.KindConflict) {
			t.Errorf("told again: %v", err)
		}
	}
	want(t, "bodies let go of", w.dropped, []command.BodyID{1})
}

// A day's key stays while an item is sealed under it, and no longer.
func TestDayKeys(t *testing.T) {
	w, ring := newRows(), keys.GenerateKeyring()
	first, err := ring.NewDayKey(4, today)
	if err != nil {
		t.Fatal(err)
	}
	second, _ := ring.NewDayKey(4, today)
	for _, x := range [][]byte{first, second} {
		r, err := setDayKey(w, &command.SetDayKey{Day: today, Key: x})
		if err != nil || !slices.Equal(r.(*command.DayKeyResult).Key, first) {
			t.Errorf("the day has %v, %v", r, err)
		}
	}
	w.remote(t, 1, 1)
	drop := func() {
		if _, err := dropDayKeys(w, &command.DropDayKeys{Before: today + 1}); err != nil {
			t.Error(err)
		}
	}
	drop()
	ring.Rotate()
	next, err := ring.RewrapDay(4, today, first)
	if err != nil {
		t.Fatal(err)
	}
	rewrap := func(from, to []byte) error {
		_, err := rewrapDayKeys(w, &command.RewrapDayKeys{Days: []command.RewrappedDay{{Day: today, Old: from, New: to}}})
		return err
	}
	if err := rewrap(second, next); err != nil {
		t.Error(err)
	}
	if got, err := KeyOf(view{rows: w}, today); err != nil || !slices.Equal(got, first) {
		t.Errorf("a wrap of another key was replaced, %v", err)
	}
	if err := rewrap(first, next); err != nil {
		t.Error(err)
	}
	w.floor = 2
	if err := rewrap(next, first); !rookery.Is(err, rookery.KindInvalid) && !rookery.Is(err, rookery.KindConflict) {
		t.Errorf("an old wrap came back: %v", err)
	}
	if _, err := setDayKey(w, &command.SetDayKey{Day: today + 1, Key: second}); !rookery.Is(err, rookery.KindConflict) {
		t.Errorf("a key under a version given up: %v", err)
	}
	w.steer(t, command.CancelRow, ref(1, 0))
	drop()
	if _, err := KeyOf(view{rows: w}, today); err != nil {
		t.Errorf("the trace of the day cannot be read any more: %v", err)
	}
	if _, err := tables.Join("a test", trace.Part[*rows]()).Run(w, &command.DropTrace{Before: w.now + 1, Most: 100}); err != nil {
		t.Fatal(err)
	}
	drop()
	if _, err := KeyOf(view{rows: w}, today); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("the key of a day without items is left: %v", err)
	}
	if err := Check(w, &command.Item{ID: command.ItemID{2}, Kind: command.Message, Day: today,
		Rows: []command.ItemRow{{Kind: command.ToRemote, Recipient: []byte{1}}}}); !rookery.Is(err, rookery.KindConflict) {
		t.Errorf("an item without a key of its day: %v", err)
	}
}

func TestSealedIsBoundToItsPlace(t *testing.T) {
	ring := keys.GenerateKeyring()
	wrapped, err := ring.NewDayKey(4, today)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ring.OpenDay(4, today, wrapped)
	if err != nil {
		t.Fatal(err)
	}
	r := Recipient{Address: "a@example.org", Notify: []string{"NEVER"}}
	sealed := SealRecipient(k, ref(1, 2), &r)
	if got, err := OpenRecipient(k, ref(1, 2), sealed); err != nil || !cmp.Equal(got, r) {
		t.Errorf("%+v %v", got, err)
	}
	for _, x := range []Ref{ref(1, 1), ref(2, 2)} {
		if _, err := OpenRecipient(k, x, sealed); !rookery.Is(err, rookery.KindDamaged) {
			t.Errorf("opens as row %v: %v", x, err)
		}
	}
	if _, err := OpenHeard(k, ref(1, 2), sealed); !rookery.Is(err, rookery.KindDamaged) {
		t.Errorf("opens as something else: %v", err)
	}
	if _, err := ring.OpenDay(5, today, wrapped); !rookery.Is(err, rookery.KindDamaged) {
		t.Errorf("opens as another group's: %v", err)
	}
}

func TestRemoteTablesAreDeclared(t *testing.T) {
	p := tables.Join("a test", Part[*rows]())
	w := newRows()
	w.remote(t, 1, 2)
	w.begin(t, one, nil, ref(1, 0))
	for k, v := range w.all {
		if err := p.CheckRow([]byte(k), v); err != nil {
			t.Errorf("%x: %v", k, err)
		}
	}
}
