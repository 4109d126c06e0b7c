package queue

import (
	"fmt"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
	"rookery/storage/trace"
)

// Open lists the items behind an id, in the order of their ids, at most limit.
// It decodes none.
func Open(r state.Reader, after command.ItemID, limit int) (ids []command.ItemID, err error) {
	err = r.Scan(itemKey(after).End(), tables.NewKey(tableItem).End(), func(k, _ []byte) (bool, error) {
		if len(ids) >= limit {
			return false, nil
		}
		ids = append(ids, command.ItemID(k[1:]))
		return true, nil
	})
	return ids, err
}

// Class is one range of the index of due rows.
type Class struct {
	Row command.RowKind
	Of  command.ItemKind
}

// DueBy lists the rows of a class that are due at a time, those behind one, the
// oldest first, at most limit. It reads the index alone.
func DueBy(r state.Reader, c Class, now int64, after Due, limit int) (rows []Due, err error) {
	from := append(dueKey(c.Row, c.Of, after.At, after.Ref), 0)
	err = r.Scan(from, tables.NewKey(tableDue).Str(string([]byte{byte(c.Row), byte(c.Of)})).U64(uint64(now)+1),
		func(k, v []byte) (bool, error) {
			if len(rows) >= limit {
				return false, nil
			}
			if len(v) != 4 || len(k) != 1+dueLength {
				return false, tables.Damaged("index of due rows")
			}
			rows = append(rows, Due{
				At:    int64(tables.U64At(k, 3)),
				Ref:   refAt(k, 11),
				Kind:  c.Row,
				Of:    c.Of,
				Group: rookery.GroupID(tables.U32At(v, 0)),
			})
			return true, nil
		})
	return rows, err
}

func refAt(k []byte, at int) Ref {
	return Ref{Item: command.ItemID(k[at : at+16]), N: tables.U32At(k, at+16)}
}

// Attempted lists the rows that couriers have, those behind one, at most limit.
func Attempted(r state.Reader, after Ref, limit int) (rows []Ref, err error) {
	err = r.Scan(append(attemptKey(after), 0), tables.NewKey(tableAttempt).End(), func(k, _ []byte) (bool, error) {
		if len(rows) >= limit {
			return false, nil
		}
		rows = append(rows, refAt(k, 1))
		return true, nil
	})
	return rows, err
}

// RowsOf lists the rows of an item with their numbers.
func RowsOf(r state.Reader, id command.ItemID) (rows map[uint32]Row, err error) {
	rows = map[uint32]Row{}
	k := rowsKey(id)
	err = r.Scan(k, k.End(), func(k, v []byte) (bool, error) {
		var row Row
		err := tables.Decode(v, &row)
		rows[tables.U32At(k, 17)] = row
		return err == nil, err
	})
	return rows, err
}

// Each calls fn for the items behind an id with their headers, in the order of
// their ids, until it returns false.
func Each(r state.Reader, after command.ItemID, fn func(command.ItemID, Header) (more bool, err error)) error {
	return r.Scan(itemKey(after).End(), tables.NewKey(tableItem).End(), func(k, v []byte) (bool, error) {
		var h Header
		if err := tables.Decode(v, &h); err != nil {
			return false, err
		}
		return fn(command.ItemID(k[1:17]), h)
	})
}

// KeyOf is the wrapped key of a day. The error is KindNotFound: it has none.
func KeyOf(r state.Reader, day uint32) ([]byte, error) {
	var d DayKey
	v, err := r.Get(dayKey(day))
	switch {
	case err != nil:
		return nil, err
	case v == nil:
		return nil, rookery.E("read queue", rookery.KindNotFound, fmt.Errorf("the group has no key of day %d", day))
	}
	err = tables.Decode(v, &d)
	return d.Key, err
}

// Days are the keys of all days.
func Days(r state.Reader) (days map[uint32]DayKey, err error) {
	lines, err := trace.Days(r)
	if err != nil {
		return nil, err
	}
	days = map[uint32]DayKey{}
	err = r.Scan(tables.NewKey(tableDay), tables.NewKey(tableDay).End(), func(k, v []byte) (bool, error) {
		var d DayKey
		err := tables.Decode(v, &d)
		d.Lines = lines[tables.U32At(k, 1)].Lines
		days[tables.U32At(k, 1)] = d
		return err == nil, err
	})
	return days, err
}

// Owed is the tally.
func Owed(r state.Reader) (t Tally, err error) {
	v, err := r.Get(tallyKey())
	if err == nil && v != nil {
		err = tables.Decode(v, &t)
	}
	return t, err
}

// Find reads a row with its item's header. The error is KindNotFound where the
// row has ended.
func Find(r state.Reader, x Ref) (h Header, row Row, err error) {
	if err = decode(r, rowKey(x), &row); err == nil {
		err = decode(r, itemKey(x.Item), &h)
	}
	return h, row, err
}

func decode(r state.Reader, k tables.Key, record any) error {
	v, err := r.Get(k)
	if err == nil && v == nil {
		err = rookery.E("read queue", rookery.KindNotFound, fmt.Errorf("row of item %x has ended", k[1:17]))
	}
	if err != nil {
		return err
	}
	return tables.Decode(v, record)
}
