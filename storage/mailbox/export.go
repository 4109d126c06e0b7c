package mailbox

import (
	"slices"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

// Moving is one end of an account's move as a group has it.
type Moving struct {
	Account rookery.AccountID
	State   MoveState
	Move    command.MoveID
	// Group is the other end.
	Group rookery.GroupID
	// Rows and Bodies are in the copy so far.
	Rows, Bodies uint64
}

// Moving lists the accounts on their way out of this group and into it.
func (m *Machine) Moving() (all []Moving, err error) {
	err = m.read(func(r state.Reader) error {
		return r.Scan(newKey(tableMoving), newKey(tableMoving).End(), func(k, v []byte) (bool, error) {
			var rec moving
			err := tables.Decode(v, &rec)
			all = append(all, Moving{rookery.AccountID(k[1:17]), rec.State, rec.Move, rec.Group, rec.Rows, rec.Bodies})
			return true, err
		})
	})
	return all, err
}

// Export reads one account at one instant, as it travels. It serves one
// goroutine and must be closed.
type Export struct {
	m       *Machine
	account rookery.AccountID
	snap    *state.Snap
}

// Export opens what there is of an account, also while it is frozen.
func (m *Machine) Export(id rookery.AccountID) *Export {
	return &Export{m: m, account: id, snap: m.group.Read()}
}

// Close ends the reading.
func (x *Export) Close() { x.snap.Close() }

// Index is the last entry that shows.
func (x *Export) Index() (rookery.LogIndex, error) {
	index, _, err := x.snap.Applied()
	return index, err
}

// Record is the account's own row while it is frozen. KindConflict: it is not.
func (x *Export) Record() ([]byte, error) {
	rec, err := readMoving(x.snap, x.account)
	if err == nil && (rec == nil || rec.State != MoveFrozen) {
		err = refuse(rookery.KindConflict, "account %s is not frozen", x.account)
	}
	if err != nil {
		return nil, err
	}
	return rec.Account, nil
}

// each calls fn for the rows behind a key that travel, in the order of their
// keys: without the account, values as they travel.
func (x *Export) each(after []byte, fn func(k, v []byte) bool) error {
	return x.m.parts.Account(x.snap, x.account, x.m.copied, after, fn)
}

// row is a row by its key as it travels, nil where there is none.
func (x *Export) row(k []byte) ([]byte, error) {
	v, err := x.snap.Get(tables.WithAccountKey(x.account, k))
	if err != nil || v == nil {
		return nil, err
	}
	return x.m.parts.Arriving(k).Carry(v)
}

// Rows lists rows behind a key, at most command.MaxImport and about as many
// bytes as asked for. No rows: there are no more.
func (x *Export) Rows(after []byte, size int) (rows []command.ImportRow, err error) {
	err = x.each(after, func(k, v []byte) bool {
		rows = append(rows, command.ImportRow{Key: k, Value: slices.Clone(v)})
		size -= len(k) + len(v)
		return size > 0 && len(rows) < command.MaxImport
	})
	return rows, err
}

// Marked is a part of what has changed since it was last copied.
type Marked struct {
	Clear [][]byte
	Rows  []command.ImportRow
	// Upto is the last mark of this part, for MoveCopied.
	Upto []byte
	// More says that there are marks behind it.
	More bool
}

// Marks lists what has changed, from the first mark on.
func (x *Export) Marks(size int) (out Marked, err error) {
	all := accountKey(tableMark, x.account)
	err = x.snap.Scan(all, all.End(), func(k, _ []byte) (bool, error) {
		if size <= 0 || len(out.Rows)+len(out.Clear) >= command.MaxImport {
			out.More = true
			return false, nil
		}
		out.Upto = slices.Clone(k[17:])
		row := slices.Clone(k[18:])
		size -= len(row)
		if k[17] == 0 {
			out.Clear = append(out.Clear, row)
			return true, nil
		}
		v, err := x.row(row)
		out.Rows = append(out.Rows, command.ImportRow{Key: row, Value: v, Gone: v == nil})
		size -= len(v)
		return true, err
	})
	return out, err
}

// Buried reports whether rows of deleted mailboxes are still to be removed.
func (x *Export) Buried() (buried bool, err error) {
	all := accountKey(tableGrave, x.account)
	err = x.snap.Scan(all, all.End(), func(_, _ []byte) (bool, error) {
		buried = true
		return false, nil
	})
	return buried, err
}

// Pending counts marks, as far as limit.
func (x *Export) Pending(limit int) (n int, err error) {
	all := accountKey(tableMark, x.account)
	err = x.snap.Scan(all, all.End(), func(_, _ []byte) (bool, error) {
		n++
		return n < limit, nil
	})
	return n, err
}

// Content is what travels of one message's content.
type Content struct {
	Record  []byte
	Extract []byte
	Body    Body
}

// Content reads the content of a message. The error is KindNotFound.
func (x *Export) Content(id rookery.EmailID) (c Content, err error) {
	v, err := x.snap.Get(emailKey(x.account, id))
	if err != nil {
		return c, err
	}
	if v == nil {
		return c, notFound("message content %s does not exist", id)
	}
	e, err := decodeEmail(v)
	if err != nil {
		return c, err
	}
	if c.Record, err = portable(v); err != nil {
		return c, err
	}
	if c.Body, err = readBody(x.snap, e.body); err != nil {
		return c, err
	}
	c.Extract, err = x.snap.Get(bodyKey(tableExtract, e.body))
	return c, err
}
