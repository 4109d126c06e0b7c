package mailbox

import (
	"crypto/sha256"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

// MoveState is where one end of an account's move is.
type MoveState uint8

// The states of the source, then those of the target.
const (
	MoveCopying MoveState = iota + 1 // the account serves; changes are marked
	MoveFrozen                       // the account is out of service
	MoveShadow                       // a copy that grows
	MoveSealed                       // a copy that is complete
)

func (s MoveState) String() string {
	if s < MoveCopying || s > MoveSealed {
		return "none"
	}
	return [...]string{"copying", "frozen", "shadow", "sealed"}[s-MoveCopying]
}

// moving is the record of tableMoving: one end of a move under way.
type moving struct {
	State MoveState      `cbor:"1,keyasint"`
	Move  command.MoveID `cbor:"2,keyasint"`
	// Group is the other end.
	Group rookery.GroupID  `cbor:"3,keyasint"`
	Turn  command.MoveTurn `cbor:"4,keyasint"`
	// Shadow names the copy: in the source the one that Cursor is about.
	Shadow rookery.LogIndex `cbor:"5,keyasint,omitempty"`
	Cursor []byte           `cbor:"6,keyasint,omitempty"`
	// Account is the account's own row while it is frozen or sealed.
	Account []byte `cbor:"7,keyasint,omitempty"`
	// Rows and Digest are of the copy, Bodies counts what came with one.
	Rows   uint64   `cbor:"8,keyasint,omitempty"`
	Digest [16]byte `cbor:"9,keyasint"`
	Bodies uint64   `cbor:"10,keyasint,omitempty"`
}

// moved is the record of tableMoved: the last move that this group has seen
// the end of. It stays for as long as the account lives, so that what is late
// of that move changes nothing.
type moved struct {
	Move command.MoveID `cbor:"1,keyasint"`
	// Gone says that the account is not here but in Group, as far as this
	// group knows.
	Gone  bool            `cbor:"2,keyasint,omitempty"`
	Group rookery.GroupID `cbor:"3,keyasint,omitempty"`
}

// leaving are the accounts whose changes are marked. It mirrors tableMoving,
// so that commands need not look each time, and is nil until it was read.
type leaving map[rookery.AccountID]bool

func (m *Machine) loadLeaving(r state.Reader) {
	if m.leaving != nil {
		return
	}
	m.leaving = leaving{}
	must(r.Scan(newKey(tableMoving), newKey(tableMoving).End(), func(k, v []byte) (bool, error) {
		var rec moving
		err := tables.Decode(v, &rec)
		if err == nil && rec.State <= MoveFrozen {
			m.leaving[rookery.AccountID(k[1:17])] = true
		}
		return true, err
	}))
}

func readMoving(r state.Reader, id rookery.AccountID) (*moving, error) {
	v, err := r.Get(accountKey(tableMoving, id))
	if err != nil || v == nil {
		return nil, err
	}
	rec := &moving{}
	return rec, tables.Decode(v, rec)
}

func (w *work) moving(id rookery.AccountID) *moving {
	rec, err := readMoving(w.Tx, id)
	must(err)
	return rec
}

func (w *work) setMoving(id rookery.AccountID, rec *moving) {
	w.Set(accountKey(tableMoving, id), tables.Encode(rec))
	if rec.State <= MoveFrozen {
		w.m.leaving[id] = true
	}
}

// settle ends a move in this group.
func (w *work) settle(id rookery.AccountID, rec moved) {
	delete(w.m.leaving, id)
	w.Delete(accountKey(tableMoving, id))
	w.Clear(accountKey(tableMark, id))
	w.Set(accountKey(tableMoved, id), tables.Encode(&rec))
}

func (w *work) moved(id rookery.AccountID) (rec moved) {
	if v := w.Get(accountKey(tableMoved, id)); v != nil {
		must(tables.Decode(v, &rec))
	}
	return rec
}

// missing is why an account has no row here: KindMoved where it is on its way
// or elsewhere, else KindNotFound.
func missing(r state.Reader, id rookery.AccountID) error {
	rec, err := readMoving(r, id)
	if err != nil {
		return err
	}
	if rec != nil {
		return refuse(rookery.KindMoved, "account %s is being moved to another group", id)
	}
	v, err := r.Get(accountKey(tableMoved, id))
	if err != nil {
		return err
	}
	var end moved
	if v != nil {
		if err := tables.Decode(v, &end); err != nil {
			return err
		}
	}
	if end.Gone {
		return refuse(rookery.KindMoved, "account %s has moved to another group", id)
	}
	return refuse(rookery.KindNotFound, "account %s does not exist in this group", id)
}

// Wrote marks that a row of an account that is being copied has changed, or with
// cleared that all rows behind a key were removed.
func (w *work) Wrote(k key, cleared bool) {
	if len(w.m.leaving) == 0 || w.m.parts.Travelling(k) == nil {
		return
	}
	id := rookery.AccountID(k[1:17])
	if w.m.leaving[id] {
		must(w.Tx.Set(markKey(id, k, cleared), key(nil).U64(uint64(w.Index()))))
	}
}

// markKey sorts what was cleared before what was set: a copy is brought up to
// date in that order.
func markKey(id rookery.AccountID, row key, cleared bool) key {
	kind := byte(1)
	if cleared {
		kind = 0
	}
	return append(append(accountKey(tableMark, id), kind, row[0]), row[17:]...)
}

// tally counts rows and sums their digests, in whatever order they come.
type tally struct {
	rows   uint64
	digest [16]byte
}

func (t *tally) add(k, v []byte, n int) {
	h := sha256.New()
	h.Write(key(nil).U32(uint32(len(k))))
	h.Write(k)
	h.Write(v)
	sum := h.Sum(nil)
	for i := range t.digest {
		t.digest[i] ^= sum[i]
	}
	t.rows += uint64(n)
}
