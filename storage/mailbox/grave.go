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

// Rows of a grave are removed by the command that digs it, command.MaxBatch of
// them, and by each PurgeExpunged of the account: by nothing that another
// account's commands do.

// dig opens a grave: rows of a deleted mailbox, or (mailbox 0) of an erased
// account, that are still to be removed. The first of them go at once.
func (w *work) dig(a rookery.AccountID, m rookery.MailboxID, g *grave) {
	w.Set(mailboxKey(tableGrave, a, m), tables.Encode(g))
	w.reap(a, w.m.maxReap)
}

// reap removes up to limit rows from an account's graves, in the order of their
// keys; more says that there are others.
func (w *work) reap(a rookery.AccountID, limit int) (more bool) {
	for _, r := range w.Rows(accountKey(tableGrave, a), MaxMailboxes) {
		var g grave
		must(tables.Decode(r.Value, &g))
		n := 0
		if m := rookery.MailboxID(tables.U32At(r.Key, 17)); m == 0 {
			n = w.reapAccount(a, limit)
		} else {
			n = w.reapMailbox(a, m, &g, limit)
		}
		if limit -= n; limit <= 0 {
			return true
		}
		w.Delete(r.Key)
	}
	return false
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
