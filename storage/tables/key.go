package tables

import (
	"encoding/binary"

	"rookery"
)

// Key is a row's key under construction: the table's byte and big-endian parts,
// so that ranges of keys are accounts, mailboxes and times.
type Key []byte

// NewKey begins a key; its capacity fits most, so that it is one allocation.
func NewKey(table byte) Key { return append(make(Key, 0, 40), table) }

// AccountKey begins the keys of an account's rows.
func AccountKey(table byte, id rookery.AccountID) Key { return NewKey(table).Account(id) }

// Account appends an account.
func (k Key) Account(id rookery.AccountID) Key { return append(k, id[:]...) }

// U32 appends a number.
func (k Key) U32(v uint32) Key { return binary.BigEndian.AppendUint32(k, v) }

// U64 appends a number.
func (k Key) U64(v uint64) Key { return binary.BigEndian.AppendUint64(k, v) }

// Str appends bytes of any length, so nothing may come behind them.
func (k Key) Str(s string) Key { return append(k, s...) }

// End is the first key behind every key that starts with k.
func (k Key) End() []byte {
	e := append([]byte(nil), k...)
	for i := len(e) - 1; i >= 0; i-- {
		if e[i]++; e[i] != 0 {
			return e[:i+1]
		}
	}
	panic("tables: a key without end")
}

// accountEnd is where an account's key ends: behind the table's byte and 16.
const accountEnd = 1 + 16

// U32At reads a number of a key or value.
func U32At(k []byte, at int) uint32 { return binary.BigEndian.Uint32(k[at:]) }

// U64At reads a number of a key or value.
func U64At(k []byte, at int) uint64 { return binary.BigEndian.Uint64(k[at:]) }
