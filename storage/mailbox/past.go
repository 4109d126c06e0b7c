package mailbox

import (
	"bytes"
	"slices"

	"rookery"
	"rookery/storage/state"
	"rookery/storage/tables"
)

// What an archive reads of rows, which it keeps as they are: a replay of one
// account begins with its rows in an image, and with what they refer to.

// PastRows are the rows with which an account's replay begins. Read gives the rows
// from <= key < to of an image; fn is called in the order of keys.
type PastRows struct {
	Account rookery.AccountID
	Read    func(from, to []byte, fn func(k, v []byte) error) error
	// Body is told where each body lay whose message the account has.
	Body func(Body)
}

// EachPast calls fn for each row, in the order of keys. Bodies are given as if no pack
// held them: the packs are the group's.
func (m *Machine) EachPast(p PastRows, fn func(k, v []byte) error) error {
	account := map[byte]bool{}
	for _, t := range m.parts.Where(func(*tables.Table) bool { return true }) {
		account[t.ID] = true
	}
	refs := map[byte][][]byte{} // keys to read, by table
	for _, t := range m.parts.All() {
		err := error(nil)
		switch {
		case account[t.ID]:
			k := accountKey(t.ID, p.Account)
			err = p.Read(k, k.End(), func(k, v []byte) error { return keepPast(refs, k, v, fn) })
		case t.ID == tableBody:
			err = p.points(refs[tableBody], func(k, v []byte) error { return p.body(k, v, fn) })
		case len(refs[t.ID]) > 0:
			err = p.points(refs[t.ID], fn)
		case t.ID == tableFloor || t.ID == tableStage || t.ID == tableChunk || t.ID == tableNode || t.ID == tableKeyFloor:
			err = p.Read(newKey(t.ID), newKey(t.ID).End(), fn)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keepPast hands a row on, and notes which rows it refers to.
func keepPast(refs map[byte][][]byte, k, v []byte, fn func(k, v []byte) error) error {
	switch k[0] {
	case tableEmail:
		e, err := decodeEmail(v)
		if err != nil {
			return err
		}
		refs[tableBody] = append(refs[tableBody], bodyKey(tableBody, e.body))
		refs[tableExtract] = append(refs[tableExtract], bodyKey(tableExtract, e.body))
	case tableFiledFor:
		refs[tableFiledBy] = append(refs[tableFiledBy], filedByKey([16]byte(k[17:33]), rookery.AccountID(k[1:17])))
	}
	return fn(k, v)
}

// points reads single rows.
func (p *PastRows) points(keys [][]byte, fn func(k, v []byte) error) error {
	slices.SortFunc(keys, bytes.Compare)
	keys = slices.CompactFunc(keys, bytes.Equal)
	for _, k := range keys {
		if err := p.Read(k, append(bytes.Clone(k), 0), fn); err != nil {
			return err
		}
	}
	return nil
}

func (p *PastRows) body(k, v []byte, fn func(k, v []byte) error) error {
	x, err := decodeBody(BodyID(tables.U64At(k, 1)), bytes.Clone(v))
	if err != nil {
		return err
	}
	p.Body(x.Body)
	x.Pack = nil
	return fn(k, x.encode())
}

// OutsidePacks calls fn for every place in the log that holds a part of a body which
// no pack holds, or which is staged, in no order.
func OutsidePacks(r state.Reader, fn func(LogPiece) error) error {
	err := r.Scan(newKey(tableUnpacked), newKey(tableUnpacked).End(), func(k, _ []byte) (bool, error) {
		b, err := readBody(r, BodyID(tables.U64At(k, 1)))
		for _, p := range b.Log {
			if err == nil {
				err = fn(p)
			}
		}
		return true, err
	})
	if err != nil {
		return err
	}
	return r.Scan(newKey(tableChunk), newKey(tableChunk).End(), func(_, v []byte) (bool, error) {
		x := reader{b: v}
		p := x.piece()
		if x.bad {
			return false, damaged("staged chunk")
		}
		return true, fn(p)
	})
}

// PastAccount gives the account whose own row in an image has the key; ok is false for
// every other row.
func PastAccount(k []byte) (id rookery.AccountID, ok bool) {
	if len(k) != 1+len(id) || k[0] != tableAccount {
		return id, false
	}
	return rookery.AccountID(k[1:]), true
}
