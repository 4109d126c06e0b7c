package mailbox

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/tables"
)

var expungedPart = part{
	Tables: []tables.Table{
		{ID: tableExpunged, Name: "recoverable message",
			Owner: tables.OfAccount, Travels: tables.Copied, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.InTurn,
			Key: tables.Exactly(8 + 4), Check: checkExpunged},
		{ID: tablePurge, Name: "recoverable message by time", From: tableExpunged, Key: tables.Exactly(8 + 16 + 8 + 4), Check: tables.Length(0)},
	},
	Handlers: handlers{
		tables.On((*work).recoverExpunged),
		tables.On((*work).purgeExpunged),
	},
	Follows: []tables.Follow[*work]{{Table: tableExpunged, Row: (*work).followExpunged}},
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
	w.Set(purgeKey(where.Time, a, id), nil)
}

// followExpunged keeps when an entry of the recoverable list is purged.
func (w *work) followExpunged(id rookery.AccountID, k key, old, v []byte) {
	var rec expungedRecord
	if old != nil {
		must(tables.Decode(old, &rec))
		w.Delete(purgeKey(rec.Time, id, expungedIDAt(k, 17)))
	}
	if v != nil {
		rec = expungedRecord{}
		must(tables.Decode(v, &rec))
		w.Set(purgeKey(rec.Time, id, expungedIDAt(k, 17)), nil)
	}
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
	var rec expungedRecord
	must(tables.Decode(v, &rec))
	var r row
	must(decodeRow(rec.Row, &r))
	return &rec, &r
}

func (w *work) dropExpunged(a rookery.AccountID, id command.ExpungedID, time int64) {
	w.Delete(expungedKey(a, id))
	w.Delete(purgeKey(time, a, id))
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
	var dst command.UIDsBuilder
	for i, r := range rows {
		w.dropExpunged(a.ID, c.Messages[i], recs[i].Time)
		r.flags &^= command.FlagDeleted
		r.saved = w.Time() / 1e9
		r.keywords = y.intern(recs[i].Keywords)
		dst.Add(w.file(a, y, r))
	}
	return &command.CopyResult{UIDValidity: y.UIDValidity, Dst: dst.UIDs(), ModSeq: a.ModSeq}, nil
}

// purgeExpunged destroys old entries of the recoverable list, then goes on
// with the graves: in a quiet group it is the only command that comes.
func (w *work) purgeExpunged(c *command.PurgeExpunged) (command.Result, error) {
	type entry struct {
		account rookery.AccountID
		id      command.ExpungedID
		time    int64
	}
	var found []entry
	more := false
	add := func(e entry) bool {
		if len(found) == command.MaxBatch {
			more = true
			return false
		}
		found = append(found, e)
		return true
	}
	if c.Account != nil {
		if !w.serves(*c.Account) {
			if err := missing(w.Tx, *c.Account); !rookery.Is(err, rookery.KindNotFound) {
				return nil, err
			}
		}
		w.Scan(accountKey(tableExpunged, *c.Account), func(k, v []byte) bool {
			var rec expungedRecord
			must(tables.Decode(v, &rec))
			// Time rises with MODSEQ, which leads the key.
			return rec.Time < c.Before && add(entry{*c.Account, expungedIDAt(k, 17), rec.Time})
		})
	} else if c.Before > 0 {
		w.Between(newKey(tablePurge), newKey(tablePurge).U64(uint64(c.Before)), func(k, _ []byte) bool {
			id := rookery.AccountID(k[9:25])
			// What is frozen or not yet complete stays as it is.
			return !w.serves(id) || add(entry{id, expungedIDAt(k, 25), int64(tables.U64At(k, 1))})
		})
	}
	for _, e := range found {
		_, r := w.expungedAt(e.account, e.id)
		if r == nil {
			must(damaged("recoverable list"))
		}
		w.dropExpunged(e.account, e.id, e.time)
		w.unrefEmail(e.account, r.email)
	}
	w.reap(command.MaxBatch - len(found))
	return &command.PurgeResult{Purged: uint32(len(found)), More: more || w.Any(newKey(tableGrave))}, nil
}

// serves reports whether an account is here and not on its way.
func (w *work) serves(id rookery.AccountID) bool {
	return w.accounts[id] != nil || w.m.hot.account(id) != nil || w.Get(accountKey(tableAccount, id)) != nil
}

// expungedIDAt reads the id that ends a key of the list.
func expungedIDAt(k []byte, at int) command.ExpungedID {
	return command.ExpungedID{ModSeq: rookery.ModSeq(tables.U64At(k, at)), UID: rookery.UID(tables.U32At(k, at+8))}
}
