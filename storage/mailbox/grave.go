package mailbox

import (
	"slices"

	"rookery"
	"rookery/storage/command"
)

// reapPerCommand is how many rows of graves every command removes besides
// its own work.
const reapPerCommand = 64

// dig opens a grave: rows of a deleted mailbox, or (mailbox 0) of an erased
// account, that are still to be removed.
func (w *work) dig(a rookery.AccountID, m rookery.MailboxID, g *grave) {
	w.set(mailboxKey(tableGrave, a, m), encodeCold(g))
	w.m.graves = gravesSome
}

// reap removes up to limit rows from graves, in the order of their keys.
func (w *work) reap(limit int) {
	for limit > 0 && w.m.graves != gravesNone {
		var k key
		var g grave
		w.scan(newKey(tableGrave), func(kk, v []byte) bool {
			k = slices.Clone(kk)
			must(decodeCold(v, &g))
			return false
		})
		if k == nil {
			w.m.graves = gravesNone
			return
		}
		w.m.graves = gravesSome
		a, m := rookery.AccountID(k[1:17]), rookery.MailboxID(u32At(k, 17))
		n := 0
		if m == 0 {
			n = w.reapAccount(a, limit)
		} else {
			n = w.reapMailbox(a, m, &g, limit)
		}
		if n < limit {
			w.delete(k)
		}
		limit -= n
	}
}

// reapMailbox moves rows of a deleted mailbox to the recoverable list.
func (w *work) reapMailbox(a rookery.AccountID, m rookery.MailboxID, g *grave, limit int) int {
	var rows []uidRow
	w.scan(mailboxKey(tableRow, a, m), func(k, v []byte) bool {
		var r row
		must(decodeRow(v, &r))
		r.keywords = slices.Clone(r.keywords)
		rows = append(rows, uidRow{rookery.UID(u32At(k, len(k)-4)), r})
		return len(rows) < limit
	})
	for i := range rows {
		w.keep(a, m, g.ModSeq, rows[i].uid, &rows[i].row, g)
		w.delete(rowKey(a, m, rows[i].uid))
	}
	return len(rows)
}

// reapAccount removes what an erased account left: its recoverable list,
// then its emails with their references to bodies.
func (w *work) reapAccount(a rookery.AccountID, limit int) int {
	type entry struct {
		id   command.ExpungedID
		time int64
	}
	var entries []entry
	w.scan(accountKey(tableExpunged, a), func(k, v []byte) bool {
		var rec expungedRecord
		must(decodeCold(v, &rec))
		entries = append(entries, entry{expungedIDAt(k, 17), rec.Time})
		return len(entries) < limit
	})
	for _, e := range entries {
		w.dropExpunged(a, e.id, e.time)
	}
	n := len(entries) + w.forgetFiled(a, limit-len(entries))
	if n == limit {
		return n
	}
	var bodies []BodyID
	var keys []key
	w.scan(accountKey(tableEmail, a), func(k, v []byte) bool {
		e, err := decodeEmail(v)
		must(err)
		keys = append(keys, slices.Clone(k))
		bodies = append(bodies, e.body)
		return n+len(keys) < limit
	})
	for i, k := range keys {
		w.delete(k)
		w.unrefBody(bodies[i])
	}
	return n + len(keys)
}
