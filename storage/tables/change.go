package tables

import (
	"slices"

	"rookery/storage/state"
)

// Change is the rows of one command in execution. Its reads see its writes. A
// state that cannot be read or written ends the process: an entry is applied
// as a whole or not at all.
type Change struct {
	state.Tx
	// Watch hears of every write, nil for nobody.
	Watch Watcher
}

// Watcher hears that a row was set or deleted or, with cleared, that all rows
// were deleted whose keys begin with k.
type Watcher interface {
	Wrote(k Key, cleared bool)
}

// Must ends the process on an error: see Change.
func Must(err error) {
	if err != nil {
		panic(err)
	}
}

// Get is a row's value, nil where there is none. The caller owns it.
func (c *Change) Get(k Key) []byte {
	v, err := c.Tx.Get(k)
	Must(err)
	return v
}

// Has reports whether there is a row.
func (c *Change) Has(k Key) bool { return c.Get(k) != nil }

// Set writes a row.
func (c *Change) Set(k Key, v []byte) {
	Must(c.Tx.Set(k, v))
	c.wrote(k, false)
}

// Delete removes a row, should it be there.
func (c *Change) Delete(k Key) {
	Must(c.Tx.Delete(k))
	c.wrote(k, false)
}

// Clear removes all rows whose keys begin with k. Meant for rare, large
// removals: see state.Tx.DeleteRange.
func (c *Change) Clear(k Key) {
	Must(c.Tx.DeleteRange(k, k.End()))
	c.wrote(k, true)
}

func (c *Change) wrote(k Key, cleared bool) {
	if c.Watch != nil {
		c.Watch.Wrote(k, cleared)
	}
}

// Scan calls fn for the rows whose keys begin with k, rising, until it returns
// false. Its arguments are valid only during the call.
func (c *Change) Scan(k Key, fn func(k, v []byte) (more bool)) { c.Between(k, k.End(), fn) }

// Between is Scan for the keys from <= k < to.
func (c *Change) Between(from, to []byte, fn func(k, v []byte) (more bool)) {
	Must(c.Tx.Scan(from, to, func(k, v []byte) (bool, error) { return fn(k, v), nil }))
}

// Any reports whether there are rows whose keys begin with k.
func (c *Change) Any(k Key) (some bool) {
	c.Scan(k, func(_, _ []byte) bool {
		some = true
		return false
	})
	return some
}

// Row is a copy of a row.
type Row struct {
	Key   Key
	Value []byte
}

// Rows copies rows whose keys begin with k, at most limit: what is to be
// changed is collected first.
func (c *Change) Rows(k Key, limit int) (rows []Row) {
	if limit <= 0 {
		return nil
	}
	c.Scan(k, func(k, v []byte) bool {
		rows = append(rows, Row{slices.Clone(k), slices.Clone(v)})
		return len(rows) < limit
	})
	return rows
}
