package state

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"
)

// Cursor reads single rows of a Snap by key. Rows asked for in ascending order
// that lie side by side cost a step each, not a search of every level; any
// other order is right, too, and costs what Get does. It belongs to the Snap's
// goroutine and is closed before it.
type Cursor struct {
	group *Group
	it    *pebble.Iterator
	key   []byte
}

// Cursor opens a cursor over the rows from <= key < to. Close it.
func (s *Snap) Cursor(from, to []byte) (*Cursor, error) {
	if err := checkKey(from); err != nil {
		return nil, err
	}
	if s.gone {
		return nil, s.group.goneError()
	}
	lower, upper := s.group.span(from, to)
	it, err := s.snap.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, readError(err)
	}
	return &Cursor{group: s.group, it: it}, nil
}

// Get is the key's value, nil without an error if there is none in the
// cursor's range. It is valid until the next call.
func (c *Cursor) Get(key []byte) ([]byte, error) {
	c.key = append(append(c.key[:0], c.group.prefix[:]...), key...)
	if !c.at() {
		if err := c.it.Error(); err != nil {
			return nil, readError(err)
		}
		return nil, nil
	}
	v, err := c.it.ValueAndErr()
	if err != nil {
		return nil, readError(err)
	}
	if v == nil {
		v = []byte{} // there, and empty
	}
	return v, nil
}

// at moves to the row of c.key and reports whether there is one.
func (c *Cursor) at() bool {
	if c.it.Valid() {
		switch order := bytes.Compare(c.it.Key(), c.key); {
		case order == 0:
			return true
		case order < 0 && c.it.Next():
			if bytes.Equal(c.it.Key(), c.key) {
				return true
			}
		}
	}
	return c.it.SeekGE(c.key) && bytes.Equal(c.it.Key(), c.key)
}

// Close ends the cursor.
func (c *Cursor) Close() error {
	if err := c.it.Close(); err != nil {
		return readError(err)
	}
	return nil
}
