package mailbox

import (
	"slices"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/tables"
)

// file appends a message to a mailbox and counts it.
func (w *work) file(a *openAccount, x *openBox, r *row) rookery.UID {
	uid := x.UIDNext
	x.UIDNext++
	r.modseq = a.modseq()
	w.Set(rowKey(a.ID, x.ID, uid), r.encode())
	w.Set(changeKey(a.ID, x.ID, r.modseq, uid), nil)
	x.Messages++
	x.count(r.flags, 1)
	x.Size += r.size
	x.touch(r.modseq, true)
	a.UsedBytes += r.size
	a.UsedMessages++
	a.dirty = true
	return uid
}

// unfile removes a message from a mailbox; its tombstone is bury's.
func (w *work) unfile(a *openAccount, x *openBox, uid rookery.UID, r *row) {
	w.Delete(rowKey(a.ID, x.ID, uid))
	w.Delete(changeKey(a.ID, x.ID, r.modseq, uid))
	x.Messages--
	x.count(r.flags, ^uint32(0))
	x.Size -= r.size
	a.UsedBytes -= r.size
	a.UsedMessages--
	a.dirty = true
}

// count adds n to the counters a message with these flags takes part in.
func (x *openBox) count(f Flags, n uint32) {
	if !f.Has(command.FlagSeen) {
		x.Unseen += n
	}
	if f.Has(command.FlagDeleted) {
		x.Deleted += n
	}
}

// bury leaves tombstones for removed messages and trims the oldest.
func (w *work) bury(a *openAccount, x *openBox, gone UIDs) {
	if gone.Empty() {
		return
	}
	s := a.modseq()
	x.touch(s, true)
	for _, r := range gone.Runs() {
		w.Set(tombstoneKey(a.ID, x.ID, s, r.Start), key(nil).U32(r.Count))
		x.tombstones++
	}
	if x.tombstones <= w.m.maxTombstones {
		return
	}
	// Some more than needed, so that not every command trims.
	drop := x.tombstones - w.m.maxTombstones + w.m.maxTombstones/16
	var old []key
	w.Scan(mailboxKey(tableTombstone, a.ID, x.ID), func(k, _ []byte) bool {
		old = append(old, slices.Clone(k))
		return uint32(len(old)) < drop
	})
	for _, k := range old {
		w.Delete(k)
		x.floor = rookery.ModSeq(tables.U64At(k, 1+16+4))
	}
	x.tombstones -= uint32(len(old))
}

// room refuses where a mailbox cannot give n more UIDs.
func (x *openBox) room(n int) error {
	if uint64(x.UIDNext)+uint64(n) > 0xffffffff {
		return refuse(rookery.KindLimit, "mailbox %q has used up its UIDs; move its messages to a new one", x.Name)
	}
	return nil
}

// fits refuses where n more bytes are over quota.
func (a *openAccount) fits(n int64) error {
	if a.Quota > 0 && n > a.Quota-a.UsedBytes {
		return refuse(rookery.KindOverQuota, "the mailbox is full: %d of %d bytes used, %d more wanted", a.UsedBytes, a.Quota, n)
	}
	return nil
}
