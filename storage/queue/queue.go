// Package queue is what a mail group owes for messages that it has accepted: an
// item for each message, with a header, a row for each receiver, and an index of
// the times at which rows are due. It is a part of the mail group's state
// machine: an item keeps its message's body, and lets go of it with its last row.
// A row for another system is given to one courier at a time, so the log decides
// between sending and stopping. What it keeps of people is sealed under the key
// of the day on which the message came.
//
// It has no clock and sends nothing: who works on the queue reads what is due,
// and proposes what became of it. It knows no account and no mailbox.
package queue

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/tables"
)

// The tables, in a range of their own beside those of package mailbox.
const (
	tableItem    byte = 0x60 // item
	tableRow     byte = 0x61 // item n
	tableDue     byte = 0x62 // kind of row, kind of item, time, item, n: group of the row
	tableAttempt byte = 0x63 // item n: a courier has the row
	tableDay     byte = 0x64 // day: its key
	tableTally   byte = 0x65 // nothing: how much is owed to other systems
	tableLater   byte = 0x66 // account, time, item: a scheduled item that has not ended
)

// Work is a command in execution in the machine that has the queue.
type Work interface {
	// Get, Set, Delete, Any, Scan and Time are those of tables.Change.
	Get(tables.Key) []byte
	Set(tables.Key, []byte)
	Delete(tables.Key)
	Any(tables.Key) bool
	Scan(k tables.Key, fn func(k, v []byte) (more bool))
	Time() int64
	// NextLine numbers lines of the trace.
	NextLine() uint32
	// DropBody counts one reference to a body less.
	DropBody(command.BodyID)
	// TakesWrap refuses a wrapped key under a tenant key that is given up.
	TakesWrap(wrapped []byte) error
}

// Header is what the rows of an item have in common.
type Header struct {
	Kind  command.ItemKind `cbor:"1,keyasint"`
	Email rookery.EmailID  `cbor:"2,keyasint"`
	Body  command.BodyID   `cbor:"3,keyasint"`
	// Size is the message's size in bytes as the client sees it.
	Size int64 `cbor:"4,keyasint,omitempty"`
	// Time is group time of the Deliver, unix nanoseconds.
	Time int64 `cbor:"5,keyasint"`
	// Day, Key, Envelope and Account are those of command.Item.
	Day      uint32            `cbor:"6,keyasint,omitempty"`
	Key      []byte            `cbor:"7,keyasint,omitempty"`
	Envelope []byte            `cbor:"8,keyasint,omitempty"`
	Account  rookery.AccountID `cbor:"9,keyasint"`
	// Scheduled is that of command.Item.
	Scheduled int64 `cbor:"10,keyasint,omitempty"`
}

// Row is what an item owes to one receiver. All but Due, Held, Scheduled and
// Stopped are of rows ToRemote.
type Row struct {
	command.ItemRow `cbor:"1,keyasint"`
	// Due is group time, unix nanoseconds.
	Due int64 `cbor:"2,keyasint"`
	// By has the row since group time Began; zero where nobody has it.
	By    command.Courier `cbor:"3,keyasint"`
	Began int64           `cbor:"4,keyasint,omitempty"`
	// Tries counts the attempts that have ended.
	Tries uint32 `cbor:"5,keyasint,omitempty"`
	// Held is not due until it is released.
	Held bool `cbor:"6,keyasint,omitempty"`
	// Late says that the sender was told of the delay.
	Late bool `cbor:"7,keyasint,omitempty"`
	// NextHop is what an operator has set, host:port.
	NextHop string `cbor:"8,keyasint,omitempty"`
	// Last is what was heard last, sealed; none where nothing was tried.
	Last []byte `cbor:"9,keyasint,omitempty"`
	// Scheduled is when the sender wants it to go, group time in unix nanoseconds:
	// that of the item, or when it was released before; 0 is at once.
	Scheduled int64 `cbor:"10,keyasint,omitempty"`
	// Unusual says that it is held because its sender sends far more than it does.
	Unusual bool `cbor:"11,keyasint,omitempty"`
	// Braked says that a courier has held it once, instead of sending it back.
	Braked bool `cbor:"12,keyasint,omitempty"`
	// Stopped says that it was held once when it was time for it, since its sender's
	// account was disabled or gone.
	Stopped bool `cbor:"13,keyasint,omitempty"`
}

// Taken reports whether a courier has the row.
func (r *Row) Taken() bool { return r.By != command.Courier{} }

// Ref names a row: the N-th of an item, counted from 0.
type Ref = command.RowRef

// Due is an entry of the index: enough to know who sees to the row.
type Due struct {
	// At is group time, unix nanoseconds.
	At int64
	Ref
	Kind command.RowKind
	// Of is the kind of its item.
	Of command.ItemKind
	// Group is the receiver of a row ToGroup.
	Group rookery.GroupID
}

func itemKey(id command.ItemID) tables.Key { return append(tables.NewKey(tableItem), id[:]...) }

func rowsKey(id command.ItemID) tables.Key { return append(tables.NewKey(tableRow), id[:]...) }

func rowKey(x Ref) tables.Key { return rowsKey(x.Item).U32(x.N) }

func attemptKey(x Ref) tables.Key { return append(tables.NewKey(tableAttempt), x.Item[:]...).U32(x.N) }

func dueKey(row command.RowKind, of command.ItemKind, at int64, x Ref) tables.Key {
	return append(append(tables.NewKey(tableDue), byte(row), byte(of)).U64(uint64(at)), x.Item[:]...).U32(x.N)
}

// Lengths behind the table's byte.
const (
	refLength = 16 + 4
	dueLength = 1 + 1 + 8 + refLength
)

// Part declares the tables of the queue and executes its commands.
func Part[W Work]() tables.Part[W] {
	own := func(t tables.Table) tables.Table {
		t.Owner, t.Travels, t.Archived = tables.OfGroup, tables.Stays, tables.InArchive
		t.Restored, t.Erased = tables.Newest, tables.Kept
		return t
	}
	return tables.Part[W]{
		Tables: []tables.Table{
			own(tables.Table{ID: tableItem, Name: "item of the queue", Key: tables.Exactly(16), Check: tables.Decodes[Header]}),
			own(tables.Table{ID: tableRow, Name: "row of an item", Key: tables.Exactly(refLength), Check: tables.Decodes[Row]}),
			{ID: tableDue, Name: "row of an item by the time it is due", From: tableRow,
				Key: tables.Exactly(dueLength), Check: tables.Length(4)},
			{ID: tableAttempt, Name: "row of an item that a courier has", From: tableRow,
				Key: tables.Exactly(refLength), Check: tables.Length(0)},
			own(tables.Table{ID: tableDay, Name: "key of a day", Key: tables.Exactly(4), Check: tables.Decodes[DayKey]}),
			{ID: tableLater, Name: "scheduled item by its account", From: tableItem,
				Key: tables.Exactly(laterLength), Check: tables.Length(0)},
			own(tables.Table{ID: tableTally, Name: "what is owed to other systems", Key: tables.Exactly(0), Check: tables.Decodes[Tally]}),
		},
		Handlers: []tables.Handler[W]{
			tables.On(result[W]),
			tables.On(setDayKey[W]), tables.On(rewrapDayKeys[W]), tables.On(dropDayKeys[W]),
			tables.On(beginAttempts[W]), tables.On(endAttempts[W]), tables.On(steerRows[W]),
		},
	}
}

// Check is the error of an item that cannot be added: KindInvalid, KindLimit,
// KindConflict where its day has no key, or KindExists where its id is taken. It
// changes nothing.
func Check(w Work, c *command.Item) error {
	switch {
	case len(c.Rows) == 0:
		return tables.Refuse(rookery.KindInvalid, "the item owes nothing to anybody")
	case len(c.Rows) > command.MaxDeliveries:
		return tables.Refuse(rookery.KindLimit, "%d rows in one item, at most %d", len(c.Rows), command.MaxDeliveries)
	case c.Kind != command.Message && c.Kind != command.Notification:
		return tables.Refuse(rookery.KindInvalid, "this version knows no item of kind %d", c.Kind)
	case len(c.Key) > command.MaxSealed || len(c.Envelope) > command.MaxSealed || c.Delay < 0 || c.Delay > maxDelay:
		return tables.Refuse(rookery.KindInvalid, "the item's key or envelope is too long, or its delay is out of range")
	}
	remote := false
	for i := range c.Rows {
		switch x := &c.Rows[i]; x.Kind {
		case command.ToGroup:
			if len(x.Recipient) > command.MaxSealed {
				return tables.Refuse(rookery.KindInvalid, "the recipient of row %d is too long", i)
			}
		case command.ToRemote:
			remote = true
			if len(x.Recipient) == 0 || len(x.Recipient) > command.MaxSealed || len(x.Deliveries) > 0 {
				return tables.Refuse(rookery.KindInvalid, "the recipient of row %d is missing or too long", i)
			}
		default:
			return tables.Refuse(rookery.KindInvalid, "this version knows no row of kind %d", x.Kind)
		}
	}
	sealed := remote || c.Scheduled != 0
	if t := tally(w); sealed && (c.MostItems > 0 && t.Items >= c.MostItems || c.MostBytes > 0 && t.Bytes >= c.MostBytes) {
		return tables.Refuse(rookery.KindLimit, "the queue for other systems is full: %d messages, %d bytes", t.Items, t.Bytes)
	}
	if err := checkSchedule(w, c); err != nil {
		return err
	}
	if sealed != (c.Day != 0) || sealed && w.Get(dayKey(c.Day)) == nil {
		return tables.Refuse(rookery.KindConflict, "the group has no key of day %d for the item", c.Day)
	}
	if w.Get(itemKey(c.ID)) != nil {
		return tables.Refuse(rookery.KindExists, "item %x exists already", c.ID)
	}
	return nil
}

// maxDelay bounds how long a row may wait for its first or next attempt.
const maxDelay = int64(100 * 24 * 3600 * 1e9)

// Add stores an item that Check took, and gives those of its rows that are due
// at once. The caller counts its reference to the body.
func Add(w Work, c *command.Item, email rookery.EmailID, body command.BodyID, size int64) []Due {
	h := Header{Kind: c.Kind, Email: email, Body: body, Size: size, Time: w.Time(), Day: c.Day, Key: c.Key, Envelope: c.Envelope,
		Account: c.Account, Scheduled: c.Scheduled}
	w.Set(itemKey(c.ID), tables.Encode(&h))
	if h.Scheduled != 0 {
		w.Set(laterKey(h.Account, h.Scheduled, c.ID), nil)
	}
	count(w, &h, 1)
	due := make([]Due, 0, len(c.Rows))
	for i := range c.Rows {
		x, row := Ref{Item: c.ID, N: uint32(i)}, &Row{ItemRow: c.Rows[i], Due: max(h.Time, h.Scheduled), Scheduled: h.Scheduled}
		if row.Kind == command.ToRemote {
			row.Held, row.Unusual = c.Held || c.Unusual, c.Unusual
			row.Due += c.Delay
		}
		put(w, &h, x, row)
		if row.Due == h.Time && !row.Held {
			due = append(due, Due{At: h.Time, Ref: x, Kind: row.Kind, Of: h.Kind, Group: row.Group})
		}
	}
	return due
}

// put writes a row, and its entry in an index: of those that are due, those that
// somebody has, or none for one that is held.
func put(w Work, h *Header, x Ref, row *Row) {
	w.Set(rowKey(x), tables.Encode(row))
	switch {
	case row.Taken():
		w.Set(attemptKey(x), nil)
	case !row.Held:
		w.Set(dueKey(row.Kind, h.Kind, row.Due, x), tables.Key{}.U32(uint32(row.Group)))
	}
}

// unindex removes a row's entry in an index.
func unindex(w Work, h *Header, x Ref, row *Row) {
	switch {
	case row.Taken():
		w.Delete(attemptKey(x))
	case !row.Held:
		w.Delete(dueKey(row.Kind, h.Kind, row.Due, x))
	}
}

// load reads a row with its header; nil where it has ended.
func load(w Work, x Ref) (*Header, *Row) {
	v := w.Get(rowKey(x))
	if v == nil {
		return nil, nil
	}
	var row Row
	tables.Must(tables.Decode(v, &row))
	return header(w, x.Item), &row
}

func header(w Work, id command.ItemID) *Header {
	var h Header
	tables.Must(tables.Decode(w.Get(itemKey(id)), &h))
	return &h
}

// end ends a row, and with the last one the item.
func end(w Work, h *Header, x Ref, row *Row) {
	w.Delete(rowKey(x))
	unindex(w, h, x, row)
	if w.Any(rowsKey(x.Item)) {
		return
	}
	w.Delete(itemKey(x.Item))
	if h.Scheduled != 0 {
		w.Delete(laterKey(h.Account, h.Scheduled, x.Item))
	}
	count(w, h, -1)
	w.DropBody(h.Body)
}

// result ends a row; it is idempotent.
func result[W Work](w W, c *command.ItemResult) (command.Result, error) {
	x := Ref{Item: c.Item, N: c.Row}
	if h, row := load(w, x); row != nil {
		end(w, h, x, row)
	}
	return &command.Done{}, nil
}
