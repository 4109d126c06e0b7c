package tables

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"rookery"
	"rookery/storage/state"
)

// Table declares a table, once. Every column is filled in (see
// Registry.Incomplete).
type Table struct {
	// ID is the first byte of each key, Name says what a row is.
	ID   byte
	Name string
	// From names the table from whose rows these follow: they are written and
	// removed with them, and the next five columns are that table's. 0: none.
	From byte

	Owner    Owner
	Travels  Travel
	Archived Archive
	Restored Restore
	Erased   Erase

	// Key bounds the bytes of a key behind the table's and, in a table of
	// accounts, behind the account's 16.
	Key Size
	// Check reads a row as the machine would; k is what Key bounds. An error is
	// that no machine writes such a row.
	Check func(k, v []byte) error
	// Portable is a value as it travels; nil: as it is.
	Portable func(v []byte) ([]byte, error)
}

// Owner says with whom a table's rows come and go.
type Owner uint8

// The owners. A row of an account has it in its key behind the table's byte.
const (
	OfAccount Owner = iota + 1
	OfGroup
	OfCluster
)

// Travel says what becomes of an account's rows when it moves to another group.
type Travel uint8

// The ways to travel.
const (
	// Copied: row by row while the account serves.
	Copied Travel = iota + 1
	// Sealed: in the command that ends the copy.
	Sealed
	// Stays: it is of this group, or of the move itself.
	Stays
)

// Archive says whether images of the archive hold a table.
type Archive uint8

// The answers.
const (
	InArchive Archive = iota + 1
	NotArchived
)

// Restore says what of a table a restore takes back.
type Restore uint8

// The ways to come back.
const (
	// WithAccount: as it was.
	WithAccount Restore = iota + 1
	// Newest: as it is now, or as it last was.
	Newest
	// Never: it means nothing later.
	Never
)

// Erase says what becomes of a table when its account is erased.
type Erase uint8

// The ways to go.
const (
	// AtOnce: with the command that erases.
	AtOnce Erase = iota + 1
	// InTurn: by later commands, because something else ends with each row (see
	// Part.Follows).
	InTurn
	// Kept: it outlives every account.
	Kept
)

// Size is an interval of lengths in bytes.
type Size struct{ Min, Max int }

// Length is a Check of values of n bytes.
func Length(n int) func(k, v []byte) error {
	return func(_, v []byte) error {
		if len(v) != n {
			return Damaged("row")
		}
		return nil
	}
}

// Exactly is one length.
func Exactly(n int) Size { return Size{n, n} }

// Registry has a machine's tables.
type Registry struct {
	all  []*Table // by ID
	byID [256]*Table
}

func (g *Registry) add(t *Table) {
	if g.byID[t.ID] != nil {
		panic(fmt.Sprintf("tables: %q and %q have the byte 0x%x", t.Name, g.byID[t.ID].Name, t.ID))
	}
	g.byID[t.ID] = t
	g.all = append(g.all, t)
	slices.SortFunc(g.all, func(a, b *Table) int { return int(a.ID) - int(b.ID) })
}

// All lists the tables in the order of their bytes. The caller changes nothing.
func (g *Registry) All() []*Table { return g.all }

// Of is the table of a key; nil where it is in none, or too short or too long.
func (g *Registry) Of(k []byte) *Table {
	if len(k) == 0 || g.byID[k[0]] == nil {
		return nil
	}
	t := g.byID[k[0]]
	if n := len(k) - t.start(); n < t.Key.Min || n > t.Key.Max {
		return nil
	}
	return t
}

// start is where the bytes begin that Key bounds.
func (t *Table) start() int {
	if t.Owner == OfAccount {
		return accountEnd
	}
	return 1
}

// CheckRow is the error of a row that no part of the machine writes.
func (g *Registry) CheckRow(k, v []byte) error {
	t := g.Of(k)
	if t == nil {
		return rookery.E("check row", rookery.KindDamaged, fmt.Errorf("the key %.64x is in no table", k))
	}
	if err := t.Check(k[t.start():], v); err != nil {
		return rookery.E("check row", rookery.KindDamaged, fmt.Errorf("%s, key %.64x: %w", t.Name, k, err))
	}
	return nil
}

// Check reads all rows of a machine and gives the errors of the first few that
// no machine could have written.
func (g *Registry) Check(r state.Reader) error {
	var bad []error
	err := r.Scan([]byte{state.FirstTable}, nil, func(k, v []byte) (bool, error) {
		if err := g.CheckRow(k, v); err != nil {
			bad = append(bad, err)
		}
		return len(bad) < 10, nil
	})
	return errors.Join(append(bad, err)...)
}

// Travelling is the table of rows of accounts that are copied when one moves,
// or nil. k is a key, or the beginning of one with the account.
func (g *Registry) Travelling(k []byte) *Table {
	if len(k) < accountEnd {
		return nil
	}
	if t := g.byID[k[0]]; t != nil && t.Travels == Copied {
		return t
	}
	return nil
}

// Where picks an account's tables, in the order of their bytes.
func (g *Registry) Where(pick func(*Table) bool) (some []*Table) {
	for _, t := range g.all {
		if t.Owner == OfAccount && t.From == 0 && pick(t) {
			some = append(some, t)
		}
	}
	return some
}

// Account calls fn for an account's rows in some tables, in the order of their
// keys, until it returns false. after is a key without the account, and only
// rows behind it are given; nil is for all. k is without the account, v as it
// travels; both are valid only during the call.
func (g *Registry) Account(r state.Reader, id rookery.AccountID, some []*Table, after []byte, fn func(k, v []byte) (more bool)) error {
	for _, t := range some {
		all := AccountKey(t.ID, id)
		from := []byte(all)
		if len(after) > 0 && t.ID < after[0] {
			continue
		}
		if len(after) > 0 && t.ID == after[0] {
			from = append(WithAccountKey(id, after), 0)
		}
		more := true
		err := r.Scan(from, all.End(), func(k, v []byte) (bool, error) {
			v, err := t.Carry(v)
			if err == nil {
				more = fn(WithoutAccountKey(k), v)
			}
			return more, err
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// Carry is a value as it travels.
func (t *Table) Carry(v []byte) ([]byte, error) {
	if t.Portable == nil {
		return v, nil
	}
	return t.Portable(v)
}

// WithoutAccountKey is the key of an account's row as it travels: the table's
// byte and what is behind the account.
func WithoutAccountKey(k []byte) []byte {
	return append([]byte{k[0]}, k[accountEnd:]...)
}

// WithAccountKey is the key of a row that has come for an account.
func WithAccountKey(id rookery.AccountID, k []byte) Key {
	return append(AccountKey(k[0], id), k[1:]...)
}

// CheckArrival is the error of a row that no group could have sent: k is
// without the account, v as it travels, none for a row
// that is gone.
func (g *Registry) CheckArrival(k, v []byte, gone bool) error {
	t := g.Arriving(k)
	if t == nil {
		return Damaged("row that travels")
	}
	if n := len(k) - 1; n < t.Key.Min || n > t.Key.Max {
		return Damaged(t.Name)
	}
	if gone {
		if len(v) > 0 {
			return Damaged(t.Name)
		}
		return nil
	}
	if err := t.Check(k[1:], v); err != nil {
		return err
	}
	carried, err := t.Carry(v)
	if err == nil && !bytes.Equal(carried, v) {
		err = Damaged(t.Name)
	}
	return err
}

// Arriving is the table of a row that was copied for an account, or nil. k is
// without the account, or the beginning of such a key.
func (g *Registry) Arriving(k []byte) *Table {
	if len(k) < 1 || g.byID[k[0]] == nil || g.byID[k[0]].Travels != Copied {
		return nil
	}
	return g.byID[k[0]]
}

// Incomplete lists what is missing in the declarations; a machine's tests want
// nothing.
func (g *Registry) Incomplete() (missing []string) {
	for _, t := range g.all {
		lack := func(what string, is bool) {
			if is {
				missing = append(missing, fmt.Sprintf("table 0x%x (%s): %s", t.ID, t.Name, what))
			}
		}
		lack("it has no name", t.Name == "")
		lack("it has no check", t.Check == nil)
		lack("the size of its key is not bounded", t.Key.Max < t.Key.Min)
		if t.From != 0 {
			lack("it follows from no table", g.byID[t.From] == nil || g.byID[t.From].From != 0)
			lack("what follows has the columns of its table", t.Owner|Owner(t.Travels)|Owner(t.Archived)|Owner(t.Restored)|Owner(t.Erased) != 0)
			continue
		}
		lack("nobody owns it", t.Owner == 0)
		lack("does it travel?", t.Travels == 0)
		lack("is it archived?", t.Archived == 0)
		lack("is it restored?", t.Restored == 0)
		lack("is it erased?", t.Erased == 0)
		lack("only what accounts own travels or is erased with them", t.Owner != OfAccount && (t.Travels != Stays || t.Erased != Kept))
	}
	return missing
}
