package mailbox

import (
	"bytes"

	"rookery/storage/state"
)

// walk looks up rows of one table for a view: the first ones singly, and once
// the keys turn out to ascend, with a cursor that steps from one to the next.
// Messages are fetched in the order of their UIDs, mostly that of their
// delivery, and so are the ids of their contents and bodies.
type walk struct {
	cursor *state.Cursor
	last   []byte
	rising int // keys in a row that were above the one before
}

// walkAfter is how many ascending keys make a cursor worth opening.
const walkAfter = 3

// get is the value of a key; from and to bound the table's rows for the view.
// The caller owns the value.
func (w *walk) get(s *state.Snap, k key, from, to []byte) ([]byte, error) {
	if bytes.Compare(k, w.last) > 0 {
		w.rising++
	} else {
		w.rising = 0
	}
	w.last = append(w.last[:0], k...)
	if w.rising <= walkAfter {
		return s.Get(k)
	}
	if w.cursor == nil {
		c, err := s.Cursor(from, to)
		if err != nil {
			return nil, err
		}
		w.cursor = c
	}
	v, err := w.cursor.Get(k)
	if v == nil || err != nil {
		return nil, err
	}
	return append(make([]byte, 0, len(v)), v...), nil
}

// close ends the cursor. Its error is of no use: what was read was checked.
func (w *walk) close() {
	if w.cursor != nil {
		_ = w.cursor.Close()
		w.cursor = nil
	}
}
