package mailbox

import (
	"slices"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/queue"
	"rookery/storage/tables"
)

var jumpPart = part{Handlers: handlers{
	tables.On((*work).jump),
}}

// jump moves every counter of the group on, in one command: clients may have
// seen numbers that the survivors' log does not know. Everything in a mailbox
// counts as changed afterwards, and its tombstones as incomplete, so that
// clients compare instead of trusting a MODSEQ of a lost future.
func (w *work) jump(c *command.Jump) (command.Result, error) {
	var ids []rookery.AccountID
	w.Scan(newKey(tableAccount), func(k, _ []byte) bool {
		ids = append(ids, rookery.AccountID(k[1:17]))
		return true
	})
	if c.Quiet {
		queue.HoldAll(w)
	}
	jumping := w.jumpMoves(!c.CountersOnly)
	for _, id := range ids {
		a, err := w.account(id)
		must(err)
		jumping = append(jumping, a)
	}
	for _, a := range jumping {
		a.ModSeq += rookery.ModSeq(c.ModSeqs)
		a.moved, a.dirty, a.listed = true, true, true
		a.nextMailbox += rookery.MailboxID(min(c.Mailboxes, 1<<31-uint32(min(a.nextMailbox, 1<<31))))
		a.validity = higher(a.validity, c.Mailboxes)
		a.removedFloor = a.ModSeq
		w.jumpMailboxes(a, c)
	}
	return &command.Done{}, nil
}

// jumpMoves sees to the moves under way. What this log has not, the survivors
// do not know: a copy elsewhere may have rows of the lost future, and a copy
// here may lack some, so both are made anew. The accounts that are frozen or
// sealed are to jump like all others. Without anew they jump alone.
func (w *work) jumpMoves(anew bool) (jumping []*openAccount) {
	recs := map[rookery.AccountID]*moving{}
	var ids []rookery.AccountID
	w.Scan(newKey(tableMoving), func(k, v []byte) bool {
		id := rookery.AccountID(k[1:17])
		recs[id] = &moving{}
		must(tables.Decode(v, recs[id]))
		ids = append(ids, id)
		return true
	})
	for _, id := range ids {
		rec := recs[id]
		switch {
		case !anew:
		case rec.State == MoveCopying || rec.State == MoveFrozen:
			rec.Shadow, rec.Cursor = 0, nil
		case rec.State == MoveShadow && rec.Shadow != 0:
			w.dropCopy(id, rec)
		}
		w.setMoving(id, rec)
		if rec.Account != nil {
			a, err := decodeAccount(id, rec.Account)
			must(err)
			o := w.open(a)
			o.away = rec
			jumping = append(jumping, o)
		}
	}
	return jumping
}

func (w *work) jumpMailboxes(a *openAccount, c *command.Jump) {
	var ids []rookery.MailboxID
	w.Scan(accountKey(tableMailbox, a.ID), func(k, _ []byte) bool {
		ids = append(ids, rookery.MailboxID(tables.U32At(k, 17)))
		return true
	})
	slices.Sort(ids)
	for _, id := range ids {
		x, err := w.box(a, id)
		must(err)
		if uint64(x.UIDNext)+uint64(c.UIDs) > 0xf0000000 {
			// No room to jump: a new UIDVALIDITY says that no UID known
			// before means anything (RFC 9051 2.3.1.1).
			a.validity = higher(a.validity, 1)
			x.UIDValidity = rookery.UIDValidity(a.validity)
		} else {
			x.UIDNext += rookery.UID(c.UIDs)
		}
		x.Changed, x.recovered, x.floor = a.ModSeq, a.ModSeq, a.ModSeq
		x.touch(a.ModSeq, true)
		x.meta = true
	}
}

// higher adds without passing the highest UIDVALIDITY.
func higher(v, n uint32) uint32 { return v + min(n, 0xffffffff-v) }
