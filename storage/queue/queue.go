// Package queue is what a mail group owes for messages that it has accepted: an
// item for each message, with a header, a row for each receiver, and an index of
// the times at which rows are due. It is a part of the mail group's state
// machine: an item keeps its message's body, and lets go of it with its last row.
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
	tableItem byte = 0x60 // item
	tableRow  byte = 0x61 // item n
	tableDue  byte = 0x62 // time item n: kind and group of the row
)

// Work is a command in execution in the machine that has the queue.
type Work interface {
	// Get, Set, Delete, Any and Time are those of tables.Change.
	Get(tables.Key) []byte
	Set(tables.Key, []byte)
	Delete(tables.Key)
	Any(tables.Key) bool
	Time() int64
	// DropBody counts one reference to a body less.
	DropBody(command.BodyID)
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
}

// Row is what an item owes to one receiver.
type Row struct {
	command.ItemRow `cbor:"1,keyasint"`
	// Due is group time, unix nanoseconds.
	Due int64 `cbor:"2,keyasint"`
}

// Ref names a row: the N-th of an item, counted from 0.
type Ref struct {
	Item command.ItemID
	N    uint32
}

// Due is an entry of the index: enough to know who sees to the row.
type Due struct {
	// At is group time, unix nanoseconds.
	At int64
	Ref
	Kind command.RowKind
	// Group is the receiver of a row ToGroup.
	Group rookery.GroupID
}

func itemKey(id command.ItemID) tables.Key { return append(tables.NewKey(tableItem), id[:]...) }

func rowsKey(id command.ItemID) tables.Key { return append(tables.NewKey(tableRow), id[:]...) }

func rowKey(x Ref) tables.Key { return rowsKey(x.Item).U32(x.N) }

func dueKey(at int64, x Ref) tables.Key {
	return append(tables.NewKey(tableDue).U64(uint64(at)), x.Item[:]...).U32(x.N)
}

// Part declares the tables of the queue and executes its commands.
func Part[W Work]() tables.Part[W] {
	return tables.Part[W]{
		Tables: []tables.Table{
			{ID: tableItem, Name: "item of the queue",
				Owner: tables.OfGroup, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
				Key: tables.Exactly(16), Check: tables.Decodes[Header]},
			{ID: tableRow, Name: "row of an item",
				Owner: tables.OfGroup, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
				Key: tables.Exactly(16 + 4), Check: tables.Decodes[Row]},
			{ID: tableDue, Name: "row of an item by the time it is due", From: tableRow,
				Key: tables.Exactly(8 + 16 + 4), Check: tables.Length(1 + 4)},
		},
		Handlers: []tables.Handler[W]{tables.On(result[W])},
	}
}

// Check is the error of an item that cannot be added: KindInvalid, KindLimit, or
// KindExists where its id is taken. It changes nothing.
func Check(w Work, c *command.Item) error {
	switch {
	case len(c.Rows) == 0:
		return tables.Refuse(rookery.KindInvalid, "the item owes nothing to anybody")
	case len(c.Rows) > command.MaxDeliveries:
		return tables.Refuse(rookery.KindLimit, "%d rows in one item, at most %d", len(c.Rows), command.MaxDeliveries)
	case c.Kind != command.FanOut:
		return tables.Refuse(rookery.KindInvalid, "this version knows no item of kind %d", c.Kind)
	}
	for i := range c.Rows {
		if c.Rows[i].Kind != command.ToGroup {
			return tables.Refuse(rookery.KindInvalid, "this version knows no row of kind %d", c.Rows[i].Kind)
		}
	}
	if w.Get(itemKey(c.ID)) != nil {
		return tables.Refuse(rookery.KindExists, "item %x exists already", c.ID)
	}
	return nil
}

// Add stores an item that Check took. Its rows, which it gives, are due at once.
// The caller counts its reference to the body.
func Add(w Work, c *command.Item, email rookery.EmailID, body command.BodyID, size int64) []Due {
	h := Header{Kind: c.Kind, Email: email, Body: body, Size: size, Time: w.Time()}
	w.Set(itemKey(c.ID), tables.Encode(&h))
	due := make([]Due, len(c.Rows))
	for i := range c.Rows {
		x := &c.Rows[i]
		due[i] = Due{At: h.Time, Ref: Ref{c.ID, uint32(i)}, Kind: x.Kind, Group: x.Group}
		w.Set(rowKey(due[i].Ref), tables.Encode(&Row{ItemRow: *x, Due: h.Time}))
		w.Set(dueKey(h.Time, due[i].Ref), tables.Key{byte(x.Kind)}.U32(uint32(x.Group)))
	}
	return due
}

// result ends a row, and with the last one the item; it is idempotent.
func result[W Work](w W, c *command.ItemResult) (command.Result, error) {
	x := Ref{c.Item, c.Row}
	v := w.Get(rowKey(x))
	if v == nil {
		return &command.Done{}, nil
	}
	var row Row
	tables.Must(tables.Decode(v, &row))
	w.Delete(rowKey(x))
	w.Delete(dueKey(row.Due, x))
	if w.Any(rowsKey(c.Item)) {
		return &command.Done{}, nil
	}
	var h Header
	tables.Must(tables.Decode(w.Get(itemKey(c.Item)), &h))
	w.Delete(itemKey(c.Item))
	w.DropBody(h.Body)
	return &command.Done{}, nil
}
