package queue

import (
	"fmt"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
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

// DueBy lists the rows that are due at a time, those behind one, the oldest
// first, at most limit. It reads the index alone.
func DueBy(r state.Reader, now int64, after Due, limit int) (rows []Due, err error) {
	from := append(dueKey(after.At, after.Ref), 0)
	err = r.Scan(from, tables.NewKey(tableDue).U64(uint64(now)+1), func(k, v []byte) (bool, error) {
		if len(rows) >= limit {
			return false, nil
		}
		if len(v) != 1+4 {
			return false, tables.Damaged("index of due rows")
		}
		rows = append(rows, Due{
			At:    int64(tables.U64At(k, 1)),
			Ref:   Ref{command.ItemID(k[9:25]), tables.U32At(k, 25)},
			Kind:  command.RowKind(v[0]),
			Group: rookery.GroupID(tables.U32At(v, 1)),
		})
		return true, nil
	})
	return rows, err
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
