package mailbox

import (
	"encoding/binary"

	"rookery"
	"rookery/storage/tables"
)

// Records are binary with a leading version where they may grow; numbers in
// them are varints but for rows and counters, which are fixed and read often.

func damaged(what string) error { return tables.Damaged(what) }

// reader takes a record apart; the first failure sticks.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) bytes() []byte { return r.take(r.uvarint()) }
func (r *reader) str() string   { return string(r.bytes()) }

// count reads the number of items of at least size bytes each.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.b, r.bad = nil, true
		return 0
	}
	return int(n)
}

func appendBytes[T ~string | ~[]byte](b []byte, p T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(p))), p...)
}

// account is the record of tableAccount.
type account struct {
	Account
	validity      uint32            // highest UIDVALIDITY given
	nextMailbox   rookery.MailboxID // lowest MailboxID never given
	mailboxes     uint32
	subscriptions uint32
	removed       uint32         // entries of tableRemoved
	removedFloor  rookery.ModSeq // entries up to it are gone
}

func (a *account) encode() []byte {
	b := make([]byte, 1, 64+len(a.Key))
	b[0] = 1
	b = appendBytes(b, a.Key)
	b = binary.AppendVarint(b, a.Quota)
	b = binary.AppendVarint(b, a.UsedBytes)
	b = binary.AppendUvarint(b, a.UsedMessages)
	b = binary.AppendUvarint(b, uint64(a.ModSeq))
	b = binary.AppendVarint(b, a.Created)
	b = binary.AppendUvarint(b, uint64(a.validity))
	b = binary.AppendUvarint(b, uint64(a.nextMailbox))
	b = binary.AppendUvarint(b, uint64(a.mailboxes))
	b = binary.AppendUvarint(b, uint64(a.subscriptions))
	b = binary.AppendUvarint(b, uint64(a.removed))
	b = binary.AppendUvarint(b, uint64(a.removedFloor))
	return b
}

func decodeAccount(id rookery.AccountID, b []byte) (*account, error) {
	a := &account{Account: Account{ID: id}}
	if len(b) == 0 || b[0] != 1 {
		return nil, damaged("account")
	}
	r := reader{b: b[1:]}
	a.Key = r.bytes()
	a.Quota = r.varint()
	a.UsedBytes = r.varint()
	a.UsedMessages = r.uvarint()
	a.ModSeq = rookery.ModSeq(r.uvarint())
	a.Created = r.varint()
	a.validity = uint32(r.uvarint())
	a.nextMailbox = rookery.MailboxID(r.uvarint())
	a.mailboxes = uint32(r.uvarint())
	a.subscriptions = uint32(r.uvarint())
	a.removed = uint32(r.uvarint())
	a.removedFloor = rookery.ModSeq(r.uvarint())
	if r.bad {
		return nil, damaged("account")
	}
	return a, nil
}

// box is the records of tableMailbox and tableCounters together.
type box struct {
	Mailbox
	uidsModSeq rookery.ModSeq // HighestModSeq when the list of UIDs last changed
	floor      rookery.ModSeq // tombstones up to it may be gone
	tombstones uint32
	// recovered is the MODSEQ of the last Jump, 0 if there was none: what
	// clients know from before it may be of a future that was lost, so every
	// row counts as changed then.
	recovered rookery.ModSeq
}

func (x *box) encode() []byte {
	b := make([]byte, 1, 64+len(x.Name))
	b[0] = 1
	b = appendBytes(b, x.Name)
	b = appendBytes(b, x.Role)
	b = binary.AppendUvarint(b, uint64(x.UIDValidity))
	b = binary.AppendVarint(b, x.Created)
	b = binary.AppendUvarint(b, uint64(x.Changed))
	b = binary.AppendUvarint(b, uint64(len(x.Keywords)))
	for _, k := range x.Keywords {
		b = appendBytes(b, k)
	}
	if x.recovered > 0 {
		b = binary.AppendUvarint(b, uint64(x.recovered))
	}
	return b
}

func (x *box) decode(b []byte) error {
	if len(b) == 0 || b[0] != 1 {
		return damaged("mailbox")
	}
	r := reader{b: b[1:]}
	x.Name = r.str()
	x.Role = r.str()
	x.UIDValidity = rookery.UIDValidity(r.uvarint())
	x.Created = r.varint()
	x.Changed = rookery.ModSeq(r.uvarint())
	if n := r.count(1); n > 0 {
		x.Keywords = make([]string, n)
		for i := range x.Keywords {
			x.Keywords[i] = r.str()
		}
	}
	if len(r.b) > 0 {
		x.recovered = rookery.ModSeq(r.uvarint())
	}
	if r.bad {
		return damaged("mailbox")
	}
	return nil
}

const countersSize = 4*5 + 8*4

func (x *box) encodeCounters() []byte {
	b := make([]byte, 0, countersSize)
	be := binary.BigEndian
	b = be.AppendUint32(b, uint32(x.UIDNext))
	b = be.AppendUint32(b, x.Messages)
	b = be.AppendUint32(b, x.Unseen)
	b = be.AppendUint32(b, x.Deleted)
	b = be.AppendUint64(b, uint64(x.Size))
	b = be.AppendUint64(b, uint64(x.HighestModSeq))
	b = be.AppendUint64(b, uint64(x.uidsModSeq))
	b = be.AppendUint64(b, uint64(x.floor))
	return be.AppendUint32(b, x.tombstones)
}

func (x *box) decodeCounters(b []byte) error {
	if len(b) != countersSize {
		return damaged("mailbox counters")
	}
	be := binary.BigEndian
	x.UIDNext = rookery.UID(be.Uint32(b))
	x.Messages = be.Uint32(b[4:])
	x.Unseen = be.Uint32(b[8:])
	x.Deleted = be.Uint32(b[12:])
	x.Size = int64(be.Uint64(b[16:]))
	x.HighestModSeq = rookery.ModSeq(be.Uint64(b[24:]))
	x.uidsModSeq = rookery.ModSeq(be.Uint64(b[32:]))
	x.floor = rookery.ModSeq(be.Uint64(b[40:]))
	x.tombstones = be.Uint32(b[48:])
	return nil
}

// row is the record of tableRow: keywords are positions in the mailbox's
// list, ascending.
type row struct {
	modseq   rookery.ModSeq
	email    rookery.EmailID
	thread   rookery.ThreadID
	flags    Flags
	size     int64
	date     int64
	saved    int64
	keywords []byte
	uidl     string
}

const rowFixed = 8 + 16 + 16 + 1 + 8 + 8 + 8 + 1

func (w *row) encode() []byte {
	b := make([]byte, 0, rowFixed+len(w.keywords)+len(w.uidl))
	be := binary.BigEndian
	b = be.AppendUint64(b, uint64(w.modseq))
	b = append(b, w.email[:]...)
	b = append(b, w.thread[:]...)
	b = append(b, byte(w.flags))
	b = be.AppendUint64(b, uint64(w.size))
	b = be.AppendUint64(b, uint64(w.date))
	b = be.AppendUint64(b, uint64(w.saved))
	b = append(b, byte(len(w.keywords)))
	b = append(b, w.keywords...)
	return append(b, w.uidl...)
}

// decodeRow reads a row; keywords alias b.
func decodeRow(b []byte, w *row) error {
	if len(b) < rowFixed || len(b) < rowFixed+int(b[rowFixed-1]) {
		return damaged("row")
	}
	be := binary.BigEndian
	w.modseq = rookery.ModSeq(be.Uint64(b))
	w.email = rookery.EmailID(b[8:24])
	w.thread = rookery.ThreadID(b[24:40])
	w.flags = Flags(b[40])
	w.size = int64(be.Uint64(b[41:]))
	w.date = int64(be.Uint64(b[49:]))
	w.saved = int64(be.Uint64(b[57:]))
	n := rowFixed + int(b[rowFixed-1])
	w.keywords = b[rowFixed:n:n]
	w.uidl = string(b[n:])
	return nil
}

func checkAccount(_, v []byte) error {
	_, err := decodeAccount(rookery.AccountID{}, v)
	return err
}

func checkBox(_, v []byte) error      { return new(box).decode(v) }
func checkCounters(_, v []byte) error { return new(box).decodeCounters(v) }
func checkRow(_, v []byte) error      { return decodeRow(v, new(row)) }
