package trace

import (
	"rookery/storage/state"
	"rookery/storage/tables"
)

// Each calls fn for the lines from a group time until before another, unix
// nanoseconds, rising, until it returns false.
func Each(r state.Reader, from, until int64, fn func(at int64, l *Line) (more bool, err error)) error {
	return r.Scan(lineKey(from, 0), lineKey(until, 0), func(k, v []byte) (bool, error) {
		var l Line
		if err := tables.Decode(v, &l); err != nil {
			return false, err
		}
		return fn(int64(tables.U64At(k, 1)), &l)
	})
}

// Oldest is the group time of the oldest line; 0 where there is none.
func Oldest(r state.Reader) (at int64, err error) {
	err = r.Scan(tables.NewKey(tableLine), tables.NewKey(tableLine).End(), func(k, _ []byte) (bool, error) {
		at = int64(tables.U64At(k, 1))
		return false, nil
	})
	return at, err
}

// Days are the tallies of all days.
func Days(r state.Reader) (days map[uint32]Tally, err error) {
	days = map[uint32]Tally{}
	err = r.Scan(tables.NewKey(tableTally), tables.NewKey(tableTally).End(), func(k, v []byte) (bool, error) {
		var t Tally
		err := tables.Decode(v, &t)
		days[tables.U32At(k, 1)] = t
		return err == nil, err
	})
	return days, err
}
