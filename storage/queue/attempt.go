package queue

import (
	"slices"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/tables"
	"rookery/storage/trace"
)

// beginAttempts gives rows to a courier.
func beginAttempts[W Work](w W, c *command.BeginAttempts) (command.Result, error) {
	if err := checkRows(len(c.Rows)); err != nil {
		return nil, err
	}
	if c.By == (command.Courier{}) {
		return nil, tables.Refuse(rookery.KindInvalid, "the courier has no name")
	}
	r := &command.RowsResult{Done: make([]bool, len(c.Rows))}
	for i, x := range c.Rows {
		h, row := load(w, x)
		if row == nil || row.Kind != command.ToRemote || row.Held && !c.Held ||
			row.Taken() && row.By != c.By && !slices.Contains(c.Gone, row.By) {
			continue
		}
		unindex(w, h, x, row)
		row.By, row.Began = c.By, w.Time()
		put(w, h, x, row)
		r.Done[i] = true
	}
	return r, nil
}

func checkRows(n int) error {
	if n > command.MaxRows {
		return tables.Refuse(rookery.KindLimit, "%d rows in one command, at most %d", n, command.MaxRows)
	}
	return nil
}

// endAttempts records what became of rows that a courier had.
func endAttempts[W Work](w W, c *command.EndAttempts) (command.Result, error) {
	if err := checkRows(len(c.Rows)); err != nil {
		return nil, err
	}
	for i := range c.Rows {
		if x := &c.Rows[i]; len(x.Last) > command.MaxSealed || x.Again < 0 || x.Again > maxDelay {
			return nil, tables.Refuse(rookery.KindInvalid, "the end of an attempt is too long, or its time is out of range")
		}
	}
	r := &command.RowsResult{Done: make([]bool, len(c.Rows))}
	for i := range c.Rows {
		r.Done[i] = endAttempt(w, c.By, &c.Rows[i])
	}
	return r, nil
}

func endAttempt(w Work, by command.Courier, x *command.AttemptEnd) bool {
	h, row := load(w, x.Row)
	switch {
	case row == nil || row.Kind != command.ToRemote:
		return false
	case x.Done:
		remember(w, trace.Ended, h, x.Row, row, x.Last)
		end(w, h, x.Row, row)
		return true
	case row.Taken() && row.By != by, !row.Taken() && row.Held:
		return false // somebody else has it by now, or stopped it
	}
	tried := row.Taken() && !x.Untried // else its next hop is known not to answer
	unindex(w, h, x.Row, row)
	row.By, row.Began = command.Courier{}, 0
	row.Due = w.Time() + x.Again
	row.Held, row.Braked = row.Held || x.Hold, row.Braked || x.Hold
	if !x.Untried {
		row.Tries++
	}
	if len(x.Last) > 0 {
		row.Last = x.Last
		if tried {
			remember(w, trace.Tried, h, x.Row, row, x.Last)
		}
	}
	put(w, h, x.Row, row)
	return true
}

// CheckTells refuses a notification that is not the first to tell of its rows.
func CheckTells(w Work, t *command.Tells) error {
	if err := checkRows(len(t.Rows)); err != nil {
		return err
	}
	if len(t.Last) > 0 && len(t.Last) != len(t.Rows) {
		return tables.Refuse(rookery.KindInvalid, "%d rows are told of with %d replies", len(t.Rows), len(t.Last))
	}
	for _, x := range t.Rows {
		if _, row := load(w, x); row == nil || t.Delay && row.Late {
			return tables.Refuse(rookery.KindConflict, "the sender was told of row %d of item %x before", x.N, x.Item)
		}
	}
	return nil
}

// Told records that a notification that CheckTells took is accepted: its rows
// end, or are known to be late. It gives the message that it is about.
func Told(w Work, t *command.Tells) (about rookery.EmailID) {
	for i, x := range t.Rows {
		h, row := load(w, x)
		if row != nil {
			about = h.Email
		}
		switch {
		case row == nil: // named twice
		case t.Delay:
			row.Late = true
			w.Set(rowKey(x), tables.Encode(row))
		default:
			var last []byte
			if len(t.Last) > 0 {
				last = t.Last[i]
			}
			remember(w, trace.Ended, h, x, row, last)
			end(w, h, x, row)
		}
	}
	return about
}

// remember writes a line of the trace about a row.
func remember(w Work, kind trace.Kind, h *Header, x Ref, row *Row, heard []byte) {
	if len(heard) > command.MaxSealed {
		heard = nil
	}
	trace.Add(w, &trace.Line{Kind: kind, Email: h.Email, Day: h.Day, Row: x, Recipient: row.Recipient, Heard: heard})
}

// HoldAll holds every row that is owed to another system, also one that a courier had.
func HoldAll(w Work) {
	var refs []Ref
	w.Scan(tables.NewKey(tableRow), func(k, v []byte) bool {
		var row Row
		tables.Must(tables.Decode(v, &row))
		if row.Kind == command.ToRemote && (!row.Held || row.Taken()) {
			refs = append(refs, Ref{Item: command.ItemID(k[1:17]), N: tables.U32At(k, 17)})
		}
		return true
	})
	for _, x := range refs {
		h, row := load(w, x)
		unindex(w, h, x, row)
		row.By, row.Began, row.Held = command.Courier{}, 0, true
		put(w, h, x, row)
	}
}

// steerRows does what an operator wants.
func steerRows[W Work](w W, c *command.SteerRows) (command.Result, error) {
	if err := checkRows(len(c.Rows)); err != nil {
		return nil, err
	}
	if c.How < command.HoldRow || c.How > command.StopRow || len(c.NextHop) > 300 {
		return nil, tables.Refuse(rookery.KindInvalid, "this version does not know how to steer rows by %d", c.How)
	}
	r := &command.RowsResult{Done: make([]bool, len(c.Rows))}
	for i, x := range c.Rows {
		r.Done[i] = steer(w, c, x)
	}
	return r, nil
}

// steerable reports whether a row can be steered so. Of rows for accounts of this
// cluster only those can that are scheduled and that nobody files yet.
func steerable(w Work, how command.Steering, row *Row) bool {
	later := row.Waits(w.Time())
	switch {
	case how == command.StopRow:
		return row.MayStop(w.Time()) && !row.Held && !row.Taken()
	case row.Kind == command.ToGroup && (!later && !row.Held || how == command.RerouteRow):
		return false
	case how == command.ReleaseRow:
		return !row.Taken() && (row.Held || later)
	case how == command.RetryRow && later:
		return false
	}
	return !row.Taken() || how == command.HoldRow
}

func steer(w Work, c *command.SteerRows, x Ref) bool {
	h, row := load(w, x)
	switch {
	case row == nil || !steerable(w, c.How, row):
		return false
	}
	trace.Add(w, &trace.Line{Kind: trace.Steered, Email: h.Email, Day: h.Day, Row: x, Recipient: row.Recipient, How: c.How})
	switch {
	case c.How == command.CancelRow:
		end(w, h, x, row)
		return true
	}
	unindex(w, h, x, row)
	switch c.How {
	case command.HoldRow:
		row.Held = true
	case command.StopRow:
		row.Held, row.Stopped = true, true
	case command.ReleaseRow:
		reschedule(w, row)
	case command.RerouteRow:
		row.NextHop, row.Due = c.NextHop, max(w.Time(), row.Scheduled)
	case command.RetryRow:
		row.Due = w.Time()
	}
	put(w, h, x, row)
	return true
}
