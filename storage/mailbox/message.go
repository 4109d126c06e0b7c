package mailbox

import (
	"bytes"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/tables"
	"rookery/storage/uidset"
)

var messagePart = part{
	Tables: []tables.Table{
		{ID: tableRow, Name: "message in a mailbox",
			Owner: tables.OfAccount, Travels: tables.Copied, Archived: tables.InArchive, Restored: tables.WithAccount, Erased: tables.AtOnce,
			Key: tables.Exactly(4 + 4), Check: checkRow},
		{ID: tableChange, Name: "message by MODSEQ",
			Owner: tables.OfAccount, Travels: tables.Copied, Archived: tables.InArchive, Restored: tables.WithAccount, Erased: tables.AtOnce,
			Key: tables.Exactly(4 + 8 + 4), Check: tables.Length(0)},
		{ID: tableTombstone, Name: "run of expunged UIDs",
			Owner: tables.OfAccount, Travels: tables.Copied, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.AtOnce,
			Key: tables.Exactly(4 + 8 + 4), Check: tables.Length(4)},
	},
	Handlers: handlers{
		tables.On((*work).storeFlags),
		tables.On((*work).expunge),
		tables.On((*work).copyMessages),
		tables.On((*work).moveMessages),
	},
}

// storeFlags changes flags, message by message (RFC 7162 3.1.3).
func (w *work) storeFlags(c *command.StoreFlags) (command.Result, error) {
	a, x, err := w.mailbox(c.Account, c.Mailbox)
	if err != nil {
		return nil, err
	}
	if err := checkKeywords(c.Keywords); err != nil {
		return nil, err
	}
	if c.Flags&^command.FlagsAll != 0 || c.Mode > command.StoreReplace {
		return nil, refuse(rookery.KindInvalid, "flags %#x or mode %d are unknown", uint8(c.Flags), c.Mode)
	}
	found, err := w.few(a, x, c.UIDs)
	if err != nil {
		return nil, err
	}
	var changed, modified uidset.Builder
	keep := found[:0]
	for _, r := range found {
		if c.UnchangedSince != nil && max(r.modseq, x.recovered) > *c.UnchangedSince {
			modified.Add(r.uid)
			continue
		}
		keep = append(keep, r)
	}
	var ids []byte
	switch {
	case c.Mode == command.StoreRemove:
		ids = x.known(c.Keywords)
	case len(keep) > 0:
		if err := x.spare(c.Keywords); err != nil {
			return nil, err
		}
		ids = x.intern(c.Keywords)
	}
	for i := range keep {
		r := &keep[i]
		flags, keywords := r.flags, r.keywords
		switch c.Mode {
		case command.StoreAdd:
			flags, keywords = flags|c.Flags, union(keywords, ids)
		case command.StoreRemove:
			flags, keywords = flags&^c.Flags, minus(keywords, ids)
		case command.StoreReplace:
			flags, keywords = c.Flags, ids
		}
		if flags == r.flags && bytes.Equal(keywords, r.keywords) {
			continue
		}
		w.reflag(a, x, r, flags, keywords)
		changed.Add(r.uid)
	}
	return &command.StoreResult{Modified: modified.Set(), Changed: changed.Set(), ModSeq: x.HighestModSeq}, nil
}

// reflag gives a message other flags and a new MODSEQ.
func (w *work) reflag(a *openAccount, x *openBox, r *uidRow, flags Flags, keywords []byte) {
	w.Delete(changeKey(a.ID, x.ID, r.modseq, r.uid))
	x.count(r.flags, ^uint32(0))
	r.flags, r.keywords, r.modseq = flags, keywords, a.modseq()
	x.count(r.flags, 1)
	x.touch(r.modseq, false)
	w.Set(rowKey(a.ID, x.ID, r.uid), r.encode())
	w.Set(changeKey(a.ID, x.ID, r.modseq, r.uid), nil)
}

// mailbox loads an account and one of its mailboxes.
func (w *work) mailbox(account rookery.AccountID, id rookery.MailboxID) (*openAccount, *openBox, error) {
	a, err := w.account(account)
	if err != nil {
		return nil, nil, err
	}
	x, err := w.box(a, id)
	return a, x, err
}

// expunge moves messages to the recoverable list.
func (w *work) expunge(c *command.Expunge) (command.Result, error) {
	a, x, err := w.mailbox(c.Account, c.Mailbox)
	if err != nil {
		return nil, err
	}
	uids := c.UIDs
	if c.All {
		uids = uidset.Range(1, 0xffffffff)
	}
	if !c.Force && x.Deleted == 0 {
		uids = UIDs{}
	}
	found, more := w.rows(a, x, uids, command.MaxBatch, func(r *row) bool {
		return c.Force || r.flags.Has(command.FlagDeleted)
	})
	if more && !c.All {
		return nil, refuse(rookery.KindLimit, "more than %d messages in one command; split it", command.MaxBatch)
	}
	var gone uidset.Builder
	s := x.HighestModSeq
	for i := range found {
		r := &found[i]
		s = a.modseq()
		w.unfile(a, x, r.uid, &r.row)
		w.keep(a.ID, x.ID, s, r.uid, &r.row, &grave{Name: x.Name, Time: w.Time(), Keywords: x.Keywords})
		gone.Add(r.uid)
	}
	out := gone.Set()
	w.bury(a, x, out)
	return &command.ExpungeResult{UIDs: out, ModSeq: s, More: more}, nil
}

func (w *work) copyMessages(c *command.Copy) (command.Result, error) {
	return w.copy(c.Account, c.From, c.To, c.UIDs, false)
}

func (w *work) moveMessages(c *command.Move) (command.Result, error) {
	return w.copy(c.Account, c.From, c.To, c.UIDs, true)
}

// copy copies or moves messages, all or none.
func (w *work) copy(account rookery.AccountID, from, to rookery.MailboxID, uids UIDs, move bool) (command.Result, error) {
	a, x, err := w.mailbox(account, from)
	if err != nil {
		return nil, err
	}
	y, err := w.box(a, to)
	if err != nil {
		return nil, err
	}
	found, err := w.few(a, x, uids)
	if err != nil {
		return nil, err
	}
	var size int64
	for i := range found {
		size += found[i].size
	}
	if !move {
		if err := a.fits(size); err != nil && len(found) > 0 {
			return nil, err
		}
	}
	if err := y.room(len(found)); err != nil {
		return nil, err
	}
	if err := y.spare(x.usedKeywords(found)); err != nil {
		return nil, err
	}
	return w.transfer(a, x, y, found, move), nil
}

// usedKeywords are the names of the keywords some rows have.
func (x *openBox) usedKeywords(rows []uidRow) []string {
	var ids []byte
	for i := range rows {
		for _, id := range rows[i].keywords {
			ids = addKeyword(ids, id)
		}
	}
	return x.names(ids)
}

// transfer files rows of x in y, which has room for them; a move takes them
// out of x. They are saved anew (RFC 8514).
func (w *work) transfer(a *openAccount, x, y *openBox, rows []uidRow, move bool) *command.CopyResult {
	var src, dst uidset.Builder
	for i := range rows {
		old := rows[i].row
		r := old
		r.saved = w.Time() / 1e9
		r.keywords = y.intern(x.names(old.keywords))
		if move {
			w.unfile(a, x, rows[i].uid, &old)
		} else {
			w.refEmail(a.ID, old.email)
		}
		dst.Add(w.file(a, y, &r))
		src.Add(rows[i].uid)
	}
	result := &command.CopyResult{UIDValidity: y.UIDValidity, Src: src.Set(), Dst: dst.Set()}
	if move {
		w.bury(a, x, result.Src)
	}
	result.ModSeq = a.ModSeq
	return result
}
