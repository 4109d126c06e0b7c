package mailbox

import (
	"bytes"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
	"rookery/storage/uidset"
)

var expungedPart = part{
	Tables: []tables.Table{
		{ID: tableExpunged, Name: "recoverable message",
			Owner: tables.OfAccount, Travels: tables.Copied, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.InTurn,
			Key: tables.Exactly(8 + 4), Check: checkExpunged},
	},
	Handlers: handlers{
		tables.On((*work).recoverExpunged),
		tables.On((*work).purgeExpunged),
	},
}

// keep enters a message in the recoverable list; it keeps its reference to
// the email. where says what the mailbox was.
func (w *work) keep(a rookery.AccountID, m rookery.MailboxID, s rookery.ModSeq, uid rookery.UID, r *row, where *grave) {
	id := command.ExpungedID{ModSeq: s, UID: uid}
	rec := expungedRecord{Mailbox: m, Name: where.Name, Time: where.Time}
	rec.Keywords = (&box{Mailbox: Mailbox{Keywords: where.Keywords}}).names(r.keywords)
	plain := *r
	plain.keywords = nil
	rec.Row = plain.encode()
	w.Set(expungedKey(a, id), tables.Encode(&rec))
}

func checkExpunged(_, v []byte) error {
	var rec expungedRecord
	if err := tables.Decode(v, &rec); err != nil {
		return err
	}
	return decodeRow(rec.Row, new(row))
}

// expungedAt reads an entry of the recoverable list.
func (w *work) expungedAt(a rookery.AccountID, id command.ExpungedID) (*expungedRecord, *row) {
	v := w.Get(expungedKey(a, id))
	if v == nil {
		return nil, nil
	}
	return decodeExpunged(v)
}

func decodeExpunged(v []byte) (*expungedRecord, *row) {
	rec, r := &expungedRecord{}, &row{}
	must(tables.Decode(v, rec))
	must(decodeRow(rec.Row, r))
	return rec, r
}

// recoverExpunged files entries of the recoverable list again, all or none.
func (w *work) recoverExpunged(c *command.Recover) (command.Result, error) {
	a, y, err := w.mailbox(c.Account, c.To)
	if err != nil {
		return nil, err
	}
	if len(c.Messages) > command.MaxBatch {
		return nil, refuse(rookery.KindLimit, "more than %d messages in one command; split it", command.MaxBatch)
	}
	recs := make([]*expungedRecord, len(c.Messages))
	rows := make([]*row, len(c.Messages))
	seen := make(map[command.ExpungedID]bool, len(c.Messages))
	var size int64
	var keywords []string
	for i, id := range c.Messages {
		if recs[i], rows[i] = w.expungedAt(a.ID, id); recs[i] == nil || seen[id] {
			return nil, refuse(rookery.KindNotFound, "the message expunged at %d with UID %d is not in the recoverable list", id.ModSeq, id.UID)
		}
		seen[id] = true
		size += rows[i].size
		keywords = append(keywords, recs[i].Keywords...)
	}
	if err := a.fits(size); err != nil && len(rows) > 0 {
		return nil, err
	}
	if err := y.room(len(rows)); err != nil {
		return nil, err
	}
	if err := y.spare(keywords); err != nil {
		return nil, err
	}
	var dst uidset.Builder
	for i, r := range rows {
		w.Delete(expungedKey(a.ID, c.Messages[i]))
		r.flags &^= command.FlagDeleted
		r.saved = w.Time() / 1e9
		r.keywords = y.intern(recs[i].Keywords)
		dst.Add(w.file(a, y, r))
	}
	return &command.CopyResult{UIDValidity: y.UIDValidity, Dst: dst.Set(), ModSeq: a.ModSeq}, nil
}

// purgeExpunged destroys old entries of the account's recoverable list, then
// goes on with its graves. What is frozen or not yet complete stays as it is.
func (w *work) purgeExpunged(c *command.PurgeExpunged) (command.Result, error) {
	result := &command.PurgeResult{}
	if w.serves(c.Account) {
		var found []command.ExpungedID
		var emails []rookery.EmailID
		w.Scan(accountKey(tableExpunged, c.Account), func(k, v []byte) bool {
			rec, r := decodeExpunged(v)
			// Time rises with MODSEQ, which leads the key.
			if rec.Time >= c.Before {
				return false
			}
			if result.More = len(found) == w.m.maxReap; result.More {
				return false
			}
			found, emails = append(found, expungedIDAt(k, 17)), append(emails, r.email)
			return true
		})
		for i, id := range found {
			w.Delete(expungedKey(c.Account, id))
			w.unrefEmail(c.Account, emails[i])
		}
		result.Purged = uint32(len(found))
	}
	if limit := w.m.maxReap - int(result.Purged); limit == 0 || w.reap(c.Account, limit) {
		result.More = result.More || w.Any(accountKey(tableGrave, c.Account))
	}
	return result, nil
}

// serves reports whether an account is here and not on its way.
func (w *work) serves(id rookery.AccountID) bool {
	return w.accounts[id] != nil || w.m.hot.account(id) != nil || w.Get(accountKey(tableAccount, id)) != nil
}

// expungedIDAt reads the id that ends a key of the list.
func expungedIDAt(k []byte, at int) command.ExpungedID {
	return command.ExpungedID{ModSeq: rookery.ModSeq(tables.U64At(k, at)), UID: rookery.UID(tables.U32At(k, at+8))}
}

// Purgeable lists accounts behind an id, in the order of ids, that a
// PurgeExpunged with a time has something to do for, at most limit. It looks at
// one row for each account that has any.
func (m *Machine) Purgeable(before int64, after rookery.AccountID, limit int) (ids []rookery.AccountID, err error) {
	err = m.read(func(r state.Reader) error {
		for len(ids) < limit {
			next, due, err := purgeableAfter(r, before, after)
			if err != nil || next == (rookery.AccountID{}) {
				return err
			}
			if after = next; due {
				ids = append(ids, next)
			}
		}
		return nil
	})
	return ids, err
}

// purgeableAfter is the next account with recoverable messages or graves; none
// is left where it is zero.
func purgeableAfter(r state.Reader, before int64, after rookery.AccountID) (next rookery.AccountID, due bool, err error) {
	for _, table := range []byte{tableGrave, tableExpunged} {
		err = r.Scan(accountKey(table, after).End(), newKey(table).End(), func(k, v []byte) (bool, error) {
			id := rookery.AccountID(k[1:17])
			if next != (rookery.AccountID{}) && bytes.Compare(id[:], next[:]) >= 0 {
				return false, nil
			}
			next, due = id, true
			if table == tableGrave {
				return false, nil
			}
			var rec expungedRecord
			if err := tables.Decode(v, &rec); err != nil {
				return false, err
			}
			row, err := r.Get(accountKey(tableAccount, id))
			due = rec.Time < before && row != nil
			return false, err
		})
		if err != nil {
			break
		}
	}
	return next, due, err
}
