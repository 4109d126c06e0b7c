package tables

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"rookery"
	"rookery/storage/state"
)

// ErrDamaged is in the chain of the error of a row that does not decode.
var ErrDamaged = errors.New("a record of the state is damaged; restore this node's state from a peer")

// Damaged is the error of a row that does not decode, KindDamaged; what names
// its kind.
func Damaged(what string) error {
	return rookery.E("read "+what, rookery.KindDamaged, ErrDamaged)
}

var encMode = func() cbor.EncMode {
	m, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err) // options are constants: a broken build
	}
	return m
}()

// Encode gives a record's bytes: CBOR, the same on every replica. Numbers of
// fields are only ever appended.
func Encode(record any) []byte {
	b, err := encMode.Marshal(record)
	if err != nil {
		panic(fmt.Sprintf("tables: cannot encode %T: %v", record, err)) // fields of the machines' own types only
	}
	return b
}

// Decode reads what Encode gave. The error is Damaged.
func Decode(b []byte, record any) error {
	if err := cbor.Unmarshal(b, record); err != nil {
		return rookery.E("read state", rookery.KindDamaged, fmt.Errorf("%w: %v", ErrDamaged, err))
	}
	return nil
}

// Decodes is a Table's Check of rows that are records of type T.
func Decodes[T any](_, v []byte) error { return Decode(v, new(T)) }

// Records are the rows of one table as values of T.
type Records[T any] struct {
	// Table is its byte, What the rows are in an error.
	Table byte
	What  string
	// Named takes what a record's key says, behind the table's byte, into the
	// record; nil where it says nothing.
	Named func(record *T, k []byte) error
}

// Row reads a record from its key and value, as a scan gives them.
func (x Records[T]) Row(k, v []byte) (rec T, err error) {
	if err = Decode(v, &rec); err != nil {
		return rec, Damaged(x.What)
	}
	if x.Named != nil {
		err = x.Named(&rec, k[1:])
	}
	return rec, err
}

// Find reads a record.
func (x Records[T]) Find(r state.Reader, k Key) (rec T, found bool, err error) {
	v, err := r.Get(k)
	if err != nil || v == nil {
		return rec, false, err
	}
	rec, err = x.Row(k, v)
	return rec, err == nil, err
}

// List reads all records in the order of their keys.
func (x Records[T]) List(r state.Reader) (all []T, err error) {
	k := Key{x.Table}
	err = r.Scan(k, k.End(), func(k, v []byte) (bool, error) {
		rec, err := x.Row(k, v)
		all = append(all, rec)
		return err == nil, err
	})
	return all, err
}

// Get is Find within a command.
func (x Records[T]) Get(c *Change, k Key) (rec T, found bool) {
	rec, found, err := x.Find(c.Tx, k)
	Must(err)
	return rec, found
}

// All is List within a command.
func (x Records[T]) All(c *Change) []T {
	all, err := x.List(c.Tx)
	Must(err)
	return all
}

// Put writes a record.
func (x Records[T]) Put(c *Change, k Key, rec *T) { c.Set(k, Encode(rec)) }

// Check is the table's Check.
func (x Records[T]) Check(k, v []byte) error {
	_, err := x.Row(append([]byte{x.Table}, k...), v)
	return err
}
