package queue

import (
	"bytes"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/tables"
	"rookery/storage/trace"
)

// DayKey is the key that seals what items of one day hold of people.
type DayKey struct {
	// Key is wrapped under a tenant key.
	Key []byte `cbor:"1,keyasint"`
	// Items are those sealed under it.
	Items uint64 `cbor:"2,keyasint,omitempty"`
	// Lines are those of the trace that are sealed under it; only read by Days.
	Lines uint64 `cbor:"-"`
}

// Idle reports whether nothing is sealed under the key.
func (d *DayKey) Idle() bool { return d.Items == 0 && d.Lines == 0 }

// Tally is what a group owes to other systems.
type Tally struct {
	Items uint64 `cbor:"1,keyasint,omitempty"`
	// Bytes are the sizes of their messages.
	Bytes int64 `cbor:"2,keyasint,omitempty"`
}

// Keyed reports whether the group has a key of a day.
func Keyed(w Work, day uint32) bool { return w.Get(dayKey(day)) != nil }

func dayKey(day uint32) tables.Key { return tables.NewKey(tableDay).U32(day) }

func tallyKey() tables.Key { return tables.NewKey(tableTally) }

// maxWrap bounds a wrapped key in bytes.
const maxWrap = 200

// setDayKey gives a day its key, unless it has one.
func setDayKey[W Work](w W, c *command.SetDayKey) (command.Result, error) {
	if v := w.Get(dayKey(c.Day)); v != nil {
		var d DayKey
		tables.Must(tables.Decode(v, &d))
		return &command.DayKeyResult{Key: d.Key}, nil
	}
	if c.Day == 0 || keys.WrappedUnder(c.Key) == 0 || len(c.Key) > maxWrap {
		return nil, tables.Refuse(rookery.KindInvalid, "day %d has no key that a tenant key wraps", c.Day)
	}
	if err := w.TakesWrap(c.Key); err != nil {
		return nil, err
	}
	w.Set(dayKey(c.Day), tables.Encode(&DayKey{Key: c.Key}))
	return &command.DayKeyResult{Key: c.Key}, nil
}

func rewrapDayKeys[W Work](w W, c *command.RewrapDayKeys) (command.Result, error) {
	if err := checkRows(len(c.Days)); err != nil {
		return nil, err
	}
	for _, x := range c.Days {
		if len(x.New) > maxWrap || keys.WrappedUnder(x.New) < keys.WrappedUnder(x.Old) {
			return nil, tables.Refuse(rookery.KindInvalid, "the new wrap of day %d is too long or under an older tenant key", x.Day)
		}
		if err := w.TakesWrap(x.New); err != nil {
			return nil, err
		}
	}
	for _, x := range c.Days {
		var d DayKey
		if v := w.Get(dayKey(x.Day)); v != nil {
			if tables.Must(tables.Decode(v, &d)); bytes.Equal(d.Key, x.Old) {
				d.Key = x.New
				w.Set(dayKey(x.Day), tables.Encode(&d))
			}
		}
	}
	return &command.Done{}, nil
}

// dropDayKeys drops the keys that nothing is sealed under any more.
func dropDayKeys[W Work](w W, c *command.DropDayKeys) (command.Result, error) {
	var gone []uint32
	w.Scan(tables.NewKey(tableDay), func(k, v []byte) bool {
		var d DayKey
		tables.Must(tables.Decode(v, &d))
		day := tables.U32At(k, 1)
		if d.Lines = trace.Of(w, day).Lines; day < c.Before && d.Idle() {
			gone = append(gone, day)
		}
		return day < c.Before
	})
	for _, day := range gone {
		w.Delete(dayKey(day))
	}
	return &command.Done{}, nil
}

// count counts an item that is sealed under a day's key, by 1 or -1.
func count(w Work, h *Header, by int) {
	if h.Day == 0 {
		return
	}
	var d DayKey
	tables.Must(tables.Decode(w.Get(dayKey(h.Day)), &d))
	d.Items += uint64(by)
	w.Set(dayKey(h.Day), tables.Encode(&d))
	t := tally(w)
	t.Items += uint64(by)
	t.Bytes += int64(by) * h.Size
	w.Set(tallyKey(), tables.Encode(&t))
}

func tally(w Work) (t Tally) {
	if v := w.Get(tallyKey()); v != nil {
		tables.Must(tables.Decode(v, &t))
	}
	return t
}
