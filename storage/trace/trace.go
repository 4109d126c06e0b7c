// Package trace is what a mail group remembers of the messages that it has
// accepted: who gave them, where they were filed, and who took them with which
// reply. It is a part of the mail group's state machine: a line is written with
// the command that it tells of. What a line says of people is sealed under the
// key of a day.
//
// It has no clock and decides nothing: who sees to it proposes to drop what is
// old. It knows no account, no mailbox and no queue.
package trace

import (
	"maps"
	"slices"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/tables"
)

// The tables, in a range of their own.
const (
	tableLine  byte = 0x70 // group time, n: Line
	tableTally byte = 0x71 // day: Tally
)

// Work is a command in execution in the machine that has the trace.
type Work interface {
	Get(tables.Key) []byte
	Set(tables.Key, []byte)
	Delete(tables.Key)
	Scan(k tables.Key, fn func(k, v []byte) (more bool))
	Time() int64
	// NextLine numbers the lines of the command, from 0.
	NextLine() uint32
}

// Kind says what a line tells of.
type Kind uint8

// The kinds.
const (
	// Accepted is a message, with what was known of it then.
	Accepted Kind = iota + 1
	// Filed is a message that another group has accepted, filed in this one.
	Filed
	// Tried is an attempt at another system; the row goes on.
	Tried
	// Ended is the end of a recipient in another system.
	Ended
	// Steered is what an operator did to a row.
	Steered
)

// Line is one line of the trace.
type Line struct {
	Kind Kind `cbor:"1,keyasint"`
	// Email names the message, in all groups alike.
	Email rookery.EmailID `cbor:"2,keyasint"`
	// Day is the day whose key seals what is sealed here; or that of the line.
	Day uint32 `cbor:"3,keyasint"`
	// Facts are Accepted's, Heard what was heard of a row in another system,
	// Recipient who that is for; each sealed.
	Facts     []byte `cbor:"4,keyasint,omitempty"`
	Heard     []byte `cbor:"5,keyasint,omitempty"`
	Recipient []byte `cbor:"6,keyasint,omitempty"`
	// Row is that of the queue; of Accepted its item alone.
	Row command.RowRef `cbor:"7,keyasint"`
	// Places are where the message was filed, the first few; More counts the
	// others, Missed the accounts that did not get it.
	Places []Place `cbor:"8,keyasint,omitempty"`
	More   uint32  `cbor:"9,keyasint,omitempty"`
	Missed uint32  `cbor:"10,keyasint,omitempty"`
	// About is the message that a notification tells of.
	About rookery.EmailID `cbor:"11,keyasint"`
	// How is Steered's.
	How command.Steering `cbor:"12,keyasint,omitempty"`
	// N numbers the sealed lines of one message, from 0.
	N uint32 `cbor:"13,keyasint,omitempty"`
}

// Place is where a copy was filed.
type Place struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Mailbox rookery.MailboxID `cbor:"2,keyasint"`
	UID     rookery.UID       `cbor:"3,keyasint"`
}

// Tally is what a day has.
type Tally struct {
	Lines uint64 `cbor:"1,keyasint,omitempty"`
	Bytes uint64 `cbor:"2,keyasint,omitempty"`
}

const lineLength = 8 + 4 // behind the table's byte

func lineKey(at int64, n uint32) tables.Key { return tables.NewKey(tableLine).U64(uint64(at)).U32(n) }

func tallyKey(day uint32) tables.Key { return tables.NewKey(tableTally).U32(day) }

// dayOf is the day of a group time, in UTC.
func dayOf(at int64) uint32 { return uint32(at / (24 * 3600 * 1e9)) }

// Part declares the tables of the trace and executes its commands.
func Part[W Work]() tables.Part[W] {
	own := func(t tables.Table) tables.Table {
		t.Owner, t.Travels, t.Archived = tables.OfGroup, tables.Stays, tables.InArchive
		t.Restored, t.Erased = tables.Newest, tables.Kept
		return t
	}
	return tables.Part[W]{
		Tables: []tables.Table{
			own(tables.Table{ID: tableLine, Name: "line of the trace", Key: tables.Exactly(lineLength), Check: tables.Decodes[Line]}),
			own(tables.Table{ID: tableTally, Name: "lines of a day", Key: tables.Exactly(4), Check: tables.Decodes[Tally]}),
		},
		Handlers: []tables.Handler[W]{tables.On(drop[W])},
	}
}

// Add writes a line.
func Add(w Work, l *Line) {
	if l.Day == 0 {
		l.Day = dayOf(w.Time())
	}
	v := tables.Encode(l)
	w.Set(lineKey(w.Time(), w.NextLine()), v)
	count(w, l.Day, 1, len(v))
}

func count(w Work, day uint32, lines, bytes int) {
	t := Of(w, day)
	t.Lines += uint64(lines)
	t.Bytes += uint64(bytes)
	if t.Lines == 0 {
		w.Delete(tallyKey(day))
		return
	}
	w.Set(tallyKey(day), tables.Encode(&t))
}

// Of is what a day has.
func Of(w Work, day uint32) (t Tally) {
	if v := w.Get(tallyKey(day)); v != nil {
		tables.Must(tables.Decode(v, &t))
	}
	return t
}

// maxDropped bounds the lines that one command drops.
const maxDropped = 5000

// drop drops the oldest lines.
func drop[W Work](w W, c *command.DropTrace) (command.Result, error) {
	if c.Most == 0 || c.Most > maxDropped {
		return nil, tables.Refuse(rookery.KindInvalid, "drop %d lines of the trace at once: at least 1, at most %d", c.Most, maxDropped)
	}
	r := &command.PurgeResult{}
	type old struct {
		key   tables.Key
		day   uint32
		bytes int
	}
	var gone []old
	w.Scan(tables.NewKey(tableLine), func(k, v []byte) bool {
		if int64(tables.U64At(k, 1)) >= c.Before {
			return false
		}
		if r.More = len(gone) == int(c.Most); r.More {
			return false
		}
		var l Line
		tables.Must(tables.Decode(v, &l))
		gone = append(gone, old{append(tables.Key(nil), k...), l.Day, len(v)})
		return true
	})
	sums := map[uint32]Tally{}
	for _, x := range gone {
		w.Delete(x.key)
		t := sums[x.day]
		t.Lines, t.Bytes = t.Lines+1, t.Bytes+uint64(x.bytes)
		sums[x.day] = t
	}
	for _, day := range slices.Sorted(maps.Keys(sums)) {
		count(w, day, -int(sums[day].Lines), -int(sums[day].Bytes))
	}
	r.Purged = uint32(len(gone))
	return r, nil
}
