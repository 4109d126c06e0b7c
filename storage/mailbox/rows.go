package mailbox

import (
	"cmp"
	"slices"

	"rookery"
	"rookery/storage/tables"
	"rookery/storage/uidset"
)

// UIDs is a mailbox's list of UIDs. It is shared: O(1) once any session has
// asked for this state of the mailbox.
func (v *View) UIDs(id rookery.MailboxID) (UIDs, error) {
	b, err := v.box(id)
	if err != nil {
		return UIDs{}, err
	}
	k := boxKey{v.account.ID, id}
	cached, ok := v.m.cache.get(k)
	if ok && cached.modseq == b.uidsModSeq {
		return cached.uids, nil
	}
	fresh := cachedUIDs{modseq: b.uidsModSeq, next: b.UIDNext}
	if ok && cached.modseq < b.uidsModSeq && cached.modseq >= b.floor {
		fresh.uids, err = v.advance(b, cached)
	} else {
		fresh.uids, err = v.scanUIDs(b, UIDs{}, 1)
	}
	if err != nil {
		return UIDs{}, err
	}
	v.m.cache.put(k, fresh, v.epoch)
	return fresh.uids, nil
}

// advance brings an older list forward: tombstones since, then new rows.
func (v *View) advance(b *box, old cachedUIDs) (UIDs, error) {
	gone, err := v.vanished(b, old.modseq)
	if err != nil {
		return UIDs{}, err
	}
	return v.scanUIDs(b, old.uids.Without(gone), old.next)
}

// scanUIDs appends to base the UIDs from a UID on.
func (v *View) scanUIDs(b *box, base UIDs, from rookery.UID) (UIDs, error) {
	if from >= b.UIDNext {
		return base, nil
	}
	var add uidset.Builder
	k := rowKey(v.account.ID, b.ID, from)
	err := v.snap.Scan(k, mailboxKey(tableRow, v.account.ID, b.ID).End(), func(k, _ []byte) (bool, error) {
		add.Add(rookery.UID(tables.U32At(k, 21)))
		return true, nil
	})
	return base.Union(add.Set()), err
}

// Rows calls fn for the messages with UIDs from to to, ascending, until it
// returns false.
func (v *View) Rows(id rookery.MailboxID, from, to rookery.UID, fn func(Row) bool) error {
	b, err := v.box(id)
	if err != nil || to < from {
		return err
	}
	_, err = v.rows(b, from, to, &keywordNames{box: b}, fn)
	return err
}

// RowsIn calls fn for the messages among uids, ascending, until it returns
// false.
func (v *View) RowsIn(id rookery.MailboxID, uids UIDs, fn func(Row) bool) error {
	b, err := v.box(id)
	if err != nil {
		return err
	}
	names := &keywordNames{box: b}
	if span := int64(uids.Last()) - int64(uids.First()); len(uids.Runs()) > 4 && span < 8*int64(uids.Len()) {
		// Dense: one walk costs less than a seek for each run.
		_, err = v.rows(b, uids.First(), uids.Last(), names, func(r Row) bool { return !uids.Contains(r.UID) || fn(r) })
		return err
	}
	for _, r := range uids.Runs() {
		more := true
		if r.Count == 1 {
			var w Row
			if w, err = v.row(b, r.Start, names); err == nil {
				more = fn(w)
			} else if rookery.Is(err, rookery.KindNotFound) {
				err = nil
			}
		} else {
			more, err = v.rows(b, r.Start, r.End(), names, fn)
		}
		if err != nil || !more {
			return err
		}
	}
	return nil
}

func (v *View) rows(b *box, from, to rookery.UID, names *keywordNames, fn func(Row) bool) (more bool, err error) {
	more = true
	end := append(rowKey(v.account.ID, b.ID, to), 0)
	err = v.snap.Scan(rowKey(v.account.ID, b.ID, from), end, func(k, value []byte) (bool, error) {
		w, err := names.row(rookery.UID(tables.U32At(k, 21)), value)
		if err != nil {
			return false, err
		}
		more = fn(w)
		return more, nil
	})
	return more, err
}

// Row is one message. The error is KindNotFound.
func (v *View) Row(id rookery.MailboxID, uid rookery.UID) (Row, error) {
	b, err := v.box(id)
	if err != nil {
		return Row{}, err
	}
	return v.row(b, uid, &keywordNames{box: b})
}

func (v *View) row(b *box, uid rookery.UID, names *keywordNames) (Row, error) {
	value, err := v.snap.Get(rowKey(v.account.ID, b.ID, uid))
	if err != nil {
		return Row{}, err
	}
	if value == nil {
		return Row{}, notFound("message %d does not exist; it may have been expunged", uid)
	}
	return names.row(uid, value)
}

// keywordNames turns rows' keyword positions into shared lists of names.
type keywordNames struct {
	box   *box
	lists map[string][]string
}

func (n *keywordNames) row(uid rookery.UID, value []byte) (Row, error) {
	var r row
	if err := decodeRow(value, &r); err != nil {
		return Row{}, err
	}
	r.modseq = max(r.modseq, n.box.recovered)
	return r.view(uid, n.list(r.keywords)), nil
}

func (n *keywordNames) list(ids []byte) []string {
	if len(ids) == 0 {
		return nil
	}
	if l, ok := n.lists[string(ids)]; ok {
		return l
	}
	if n.lists == nil {
		n.lists = make(map[string][]string)
	}
	l := n.box.names(ids)
	n.lists[string(ids)] = l
	return l
}

func (r *row) view(uid rookery.UID, keywords []string) Row {
	return Row{UID: uid, ModSeq: r.modseq, Email: r.email, Thread: r.thread, Flags: r.flags, Keywords: keywords,
		Size: r.size, InternalDate: r.date, SaveDate: r.saved, UIDL: r.uidl}
}

// Changes is what happened in a mailbox after since (RFC 7162 3.2.5).
func (v *View) Changes(id rookery.MailboxID, since rookery.ModSeq) (Changes, error) {
	b, err := v.box(id)
	if err != nil {
		return Changes{}, err
	}
	c := Changes{Complete: since >= b.floor}
	if b.HighestModSeq <= since {
		return c, nil
	}
	if c.Vanished, err = v.vanished(b, since); err != nil {
		return Changes{}, err
	}
	c.Rows, err = v.changed(b, since)
	return c, err
}

// changed collects the rows with a MODSEQ above since, in its order.
func (v *View) changed(b *box, since rookery.ModSeq) ([]Row, error) {
	if since < b.recovered {
		return v.all(b)
	}
	var uids []rookery.UID
	from := changeKey(v.account.ID, b.ID, since+1, 0)
	err := v.snap.Scan(from, mailboxKey(tableChange, v.account.ID, b.ID).End(), func(k, _ []byte) (bool, error) {
		uids = append(uids, rookery.UID(tables.U32At(k, 29)))
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	rows := make([]Row, 0, len(uids))
	err = v.RowsIn(b.ID, uidset.New(uids...), func(r Row) bool {
		rows = append(rows, r)
		return true
	})
	if len(rows) != len(uids) && err == nil {
		err = damaged("changes")
	}
	slices.SortStableFunc(rows, func(a, b Row) int { return cmp.Compare(a.ModSeq, b.ModSeq) })
	return rows, err
}

// all are all rows, in the order of their MODSEQ.
func (v *View) all(b *box) (rows []Row, err error) {
	_, err = v.rows(b, 1, b.UIDNext, &keywordNames{box: b}, func(r Row) bool {
		rows = append(rows, r)
		return true
	})
	slices.SortStableFunc(rows, func(a, b Row) int { return cmp.Compare(a.ModSeq, b.ModSeq) })
	return rows, err
}

// vanished collects the tombstones after a MODSEQ.
func (v *View) vanished(b *box, since rookery.ModSeq) (UIDs, error) {
	var gone []rookery.UID
	var all UIDs
	flush := func() {
		all = all.Union(uidset.New(gone...))
		gone = gone[:0]
	}
	k := mailboxKey(tableTombstone, v.account.ID, b.ID)
	err := v.snap.Scan(tombstoneKey(v.account.ID, b.ID, since+1, 0), k.End(), func(k, value []byte) (bool, error) {
		start, n := rookery.UID(tables.U32At(k, 29)), tables.U32At(value, 0)
		if n > 16 {
			all = all.Union(uidset.Range(start, start+rookery.UID(n-1)))
			return true, nil
		}
		for i := range n {
			gone = append(gone, start+rookery.UID(i))
		}
		return true, nil
	})
	flush()
	return all, err
}
