package mailbox

import (
	"slices"

	"rookery"
	"rookery/storage/tables"
)

var gravePart = part{
	Tables: []tables.Table{
		{ID: tableGrave, Name: "rows still to be removed",
			Owner: tables.OfAccount, Travels: tables.Stays, Archived: tables.NotArchived, Restored: tables.Never, Erased: tables.AtOnce,
			Key: tables.Exactly(4), Check: tables.Decodes[grave]},
	},
}

// reapPerCommand is how many rows of graves every command removes besides
// its own work.
const reapPerCommand = 64

// dig opens a grave: rows of a deleted mailbox, or (mailbox 0) of an erased
// account, that are still to be removed.
func (w *work) dig(a rookery.AccountID, m rookery.MailboxID, g *grave) {
	w.Set(mailboxKey(tableGrave, a, m), tables.Encode(g))
	w.m.graves = gravesSome
}

// reap removes up to limit rows from graves, in the order of their keys.
func (w *work) reap(limit int) {
	for limit > 0 && w.m.graves != gravesNone {
		var k key
		var g grave
		w.Scan(newKey(tableGrave), func(kk, v []byte) bool {
			k = slices.Clone(kk)
			must(tables.Decode(v, &g))
			return false
		})
		if k == nil {
			w.m.graves = gravesNone
			return
		}
		w.m.graves = gravesSome
		a, m := rookery.AccountID(k[1:17]), rookery.MailboxID(tables.U32At(k, 17))
		n := 0
		if m == 0 {
			n = w.reapAccount(a, limit)
		} else {
			n = w.reapMailbox(a, m, &g, limit)
		}
		if n < limit {
			w.Delete(k)
		}
		limit -= n
	}
}

// reapMailbox moves rows of a deleted mailbox to the recoverable list.
func (w *work) reapMailbox(a rookery.AccountID, m rookery.MailboxID, g *grave, limit int) int {
	var rows []uidRow
	w.Scan(mailboxKey(tableRow, a, m), func(k, v []byte) bool {
		var r row
		must(decodeRow(v, &r))
		r.keywords = slices.Clone(r.keywords)
		rows = append(rows, uidRow{rookery.UID(tables.U32At(k, len(k)-4)), r})
		return len(rows) < limit
	})
	for i := range rows {
		w.keep(a, m, g.ModSeq, rows[i].uid, &rows[i].row, g)
		w.Delete(rowKey(a, m, rows[i].uid))
	}
	return len(rows)
}

// reapAccount removes rows that an erased account left, with what follows from
// them, such as the references to bodies.
func (w *work) reapAccount(a rookery.AccountID, limit int) (n int) {
	for _, t := range w.m.inTurn {
		for _, r := range w.Rows(accountKey(t.ID, a), limit-n) {
			w.m.parts.Follow(w, a, r.Key, r.Value, nil)
			w.Delete(r.Key)
			n++
		}
	}
	return n
}
