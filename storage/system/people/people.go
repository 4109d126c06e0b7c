// Package people keeps the copy of what directories say about people and lists, so
// that mail for them is taken while a directory is away. It is a part of the system
// group's state machine.
//
// It owns which entries there are, by what they are found, which have vanished, and
// the brake: changes that would take much from many wait for an operator. It never
// reads an entry's value, deletes no account, and removes an entry only together
// with its directory.
package people

import (
	"strings"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/tables"
)

// The tables. A directory's id stands first in each key, so that a directory can be
// dropped; "rest" is an entry's key behind it.
const (
	tableDirectory byte = 0x71 // directory: record
	tableEntry     byte = 0x72 // directory | "/" | rest: record
	tableNamed     byte = 0x73 // directory | "/" | rest: generation (8) | time (8); of present entries alone
	tableIndex     byte = 0x74 // directory | 0 | index | 0 | rest: nothing
	tableUndo      byte = 0x75 // directory | "/" | rest: record, as it was
	tableHeld      byte = 0x76 // directory | "/" | rest: change that is held
	tableConflict  byte = 0x77 // directory | 0 | index: nothing
)

// MaxKey bounds an entry's key, MaxDirectory a directory's id, in bytes.
const (
	MaxKey       = 512
	MaxDirectory = 64
)

// The brake goes when more than BrakeCount entries, and more than one in BrakeShare
// of those present, have lost something within BrakeWindow of group time.
const (
	BrakeCount  = 10
	BrakeShare  = 10
	BrakeWindow = int64(3600e9)
)

// Directory is how the copy of a directory stands. Times are unix nanoseconds of
// group time, 0: never.
type Directory struct {
	ID string `cbor:"-"`
	// Batches counts what was taken over.
	Batches uint64 `cbor:"1,keyasint"`
	// Generation counts the reads of everything; Reading says that one goes on.
	Generation uint64 `cbor:"2,keyasint,omitempty"`
	Reading    bool   `cbor:"3,keyasint,omitempty"`
	// Cookie continues behind the last batch; empty: everything is to be read.
	Cookie []byte `cbor:"4,keyasint,omitempty"`
	// Full is when everything was last read, Complete when the copy last was what
	// the directory was.
	Full     int64 `cbor:"5,keyasint,omitempty"`
	Complete int64 `cbor:"6,keyasint,omitempty"`
	// How many entries are present, vanished, held by the brake, and how many index
	// strings more than one present entry has.
	Present   uint32 `cbor:"7,keyasint,omitempty"`
	Vanished  uint32 `cbor:"8,keyasint,omitempty"`
	Held      uint32 `cbor:"9,keyasint,omitempty"`
	Conflicts uint32 `cbor:"10,keyasint,omitempty"`
	// Pending is the number of what is held as it is now, Since when the brake went.
	Pending uint64 `cbor:"11,keyasint,omitempty"`
	Since   int64  `cbor:"12,keyasint,omitempty"`
	// Window is when the brake began to count, Base how many were present then,
	// Risky how many have lost something since, and Over that these are too many.
	Window int64  `cbor:"13,keyasint,omitempty"`
	Base   uint32 `cbor:"14,keyasint,omitempty"`
	Risky  uint32 `cbor:"15,keyasint,omitempty"`
	Over   bool   `cbor:"16,keyasint,omitempty"`
}

// Entry is an entry as the copy has it. Times are unix nanoseconds of group time.
type Entry struct {
	Key string `cbor:"-"`
	// Value, Index and Has are command.Person's.
	Value []byte   `cbor:"1,keyasint,omitempty"`
	Index []string `cbor:"2,keyasint,omitempty"`
	Has   uint32   `cbor:"3,keyasint,omitempty"`
	// Disabled holds whatever the value says: it is not held back.
	Disabled bool `cbor:"4,keyasint,omitempty"`
	// Vanished is when the directory had it no more; 0: it is there.
	Vanished int64 `cbor:"5,keyasint,omitempty"`
	Changed  int64 `cbor:"6,keyasint,omitempty"`
}

// Risk is what a change takes from an entry.
type Risk uint8

// The risks, in the order of their weight.
const (
	// Lost: an attribute.
	Lost Risk = iota + 1
	// Readdressed: an address, or its primary one.
	Readdressed
	// Vanishes: all.
	Vanishes
)

// change is one that is held: Next is nil where the entry vanishes.
type change struct {
	Risk Risk   `cbor:"1,keyasint"`
	Next *Entry `cbor:"2,keyasint,omitempty"`
	// Time is when it was first held.
	Time int64 `cbor:"3,keyasint"`
}

// Touched says what a command has changed: the entries with the keys, and what the
// index strings find. All: any may have changed.
type Touched struct {
	Directory   string
	Keys, Index []string
	All         bool
}

// maxTouched bounds the strings of a Touched.
const maxTouched = 4000

// Work is a command in execution in the machine that has the copy.
type Work interface {
	Get(tables.Key) []byte
	Set(tables.Key, []byte)
	Delete(tables.Key)
	Clear(tables.Key)
	Scan(tables.Key, func(k, v []byte) (more bool))
	Time() int64
	// PeopleChanged hears what the command has changed.
	PeopleChanged(Touched)
}

// Part declares the tables and executes their commands.
func Part[W Work]() tables.Part[W] {
	row := func(id byte, name string, key tables.Size, check func(k, v []byte) error) tables.Table {
		return tables.Table{ID: id, Name: name, Owner: tables.OfCluster, Travels: tables.Stays, Archived: tables.NotArchived,
			Restored: tables.Never, Erased: tables.Kept, Key: key, Check: check}
	}
	entry := tables.Size{Min: 3, Max: MaxKey}
	index := tables.Size{Min: 4, Max: MaxDirectory + 1 + command.MaxPersonIndex + 1 + MaxKey}
	return tables.Part[W]{
		Tables: []tables.Table{
			row(tableDirectory, "copy of a directory", tables.Size{Min: 1, Max: MaxDirectory}, tables.Decodes[Directory]),
			row(tableEntry, "entry of a directory", entry, tables.Decodes[Entry]),
			row(tableNamed, "when an entry was last named", entry, tables.Length(16)),
			row(tableIndex, "entry by an address, login or name", index, tables.Length(0)),
			row(tableUndo, "entry before it lost something", entry, tables.Decodes[Entry]),
			row(tableHeld, "change of an entry that is held", entry, tables.Decodes[change]),
			row(tableConflict, "address or login of two entries", index, tables.Length(0)),
		},
		Handlers: []tables.Handler[W]{
			tables.On(copyPeople[W]),
			tables.On(settle[W]),
			tables.On(drop[W]),
		},
	}
}

func directoryKey(id string) tables.Key { return tables.NewKey(tableDirectory).Str(id) }
func entryKey(key string) tables.Key    { return tables.NewKey(tableEntry).Str(key) }
func namedKey(key string) tables.Key    { return tables.NewKey(tableNamed).Str(key) }
func undoKey(key string) tables.Key     { return tables.NewKey(tableUndo).Str(key) }
func heldKey(key string) tables.Key     { return tables.NewKey(tableHeld).Str(key) }

// entriesOf begins the keys of a directory's rows in a table of entries.
func entriesOf(table byte, id string) tables.Key { return append(tables.NewKey(table).Str(id), '/') }

// indexOf begins those of an index string.
func indexOf(table byte, id, index string) tables.Key {
	return tables.NewKey(table).Str(id).Str("\x00").Str(index)
}

func indexKey(id, index, key string) tables.Key {
	return indexOf(tableIndex, id, index).Str("\x00").Str(key[len(id)+1:])
}

func validDirectory(id string) bool {
	return id != "" && len(id) <= MaxDirectory && !strings.ContainsAny(id, "/\x00")
}

// refused is the error of a batch that no follower makes.
func refused(kind rookery.Kind, format string, args ...any) error {
	return tables.Refuse(kind, format, args...)
}

func checkBatch(c *command.CopyPeople) error {
	switch {
	case !validDirectory(c.Directory):
		return refused(rookery.KindInvalid, "%.80q is no id of a directory", c.Directory)
	case len(c.Changed)+len(c.Gone)+len(c.Named) > command.MaxPeople:
		return refused(rookery.KindTooLarge, "a batch names %d entries, at most %d", len(c.Changed)+len(c.Gone)+len(c.Named), command.MaxPeople)
	case len(c.Cookie) > command.MaxPeopleCookie:
		return refused(rookery.KindTooLarge, "a cookie of %d bytes, at most %d", len(c.Cookie), command.MaxPeopleCookie)
	}
	size := 0
	for i := range c.Changed {
		n, err := checkPerson(c.Directory, &c.Changed[i])
		if err != nil {
			return err
		}
		size += n
	}
	if size > command.MaxPeopleBytes {
		return refused(rookery.KindTooLarge, "a batch of %d bytes, at most %d", size, command.MaxPeopleBytes)
	}
	for _, keys := range [][]string{c.Gone, c.Named} {
		for _, k := range keys {
			if err := checkKey(c.Directory, k); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkKey(id, key string) error {
	if len(key) > MaxKey || !strings.HasPrefix(key, id+"/") || len(key) == len(id)+1 {
		return refused(rookery.KindInvalid, "%.80q is no key of directory %s", key, id)
	}
	return nil
}

func checkPerson(id string, p *command.Person) (size int, err error) {
	if err := checkKey(id, p.Key); err != nil {
		return 0, err
	}
	if len(p.Value) > command.MaxPersonValue || len(p.Index) > command.MaxPersonIndexes {
		return 0, refused(rookery.KindTooLarge, "entry %.80q has a value of %d bytes and %d index strings, at most %d and %d",
			p.Key, len(p.Value), len(p.Index), command.MaxPersonValue, command.MaxPersonIndexes)
	}
	size = len(p.Value)
	for _, s := range p.Index {
		if s == "" || len(s) > command.MaxPersonIndex || strings.Contains(s, "\x00") {
			return 0, refused(rookery.KindInvalid, "entry %.80q has the index string %.80q", p.Key, s)
		}
		size += len(s)
	}
	return size, nil
}
