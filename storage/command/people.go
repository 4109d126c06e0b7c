package command

// The bounds of CopyPeople.
const (
	// MaxPeople is how many entries one names, in all.
	MaxPeople = 500
	// MaxPeopleBytes bounds the values and index strings of one together.
	MaxPeopleBytes = 1 << 20
	// MaxPersonValue, MaxPersonIndex and MaxPersonIndexes bound an entry's value, an
	// index string, and how many it has.
	MaxPersonValue   = 64 << 10
	MaxPersonIndex   = 512
	MaxPersonIndexes = 1024
	// MaxPeopleCookie bounds a follower's cookie.
	MaxPeopleCookie = 64 << 10
)

// CopyPeople takes over what a follower of a directory has learnt; see
// directory.Batch. KindConflict: another batch came before this one.
type CopyPeople struct {
	Directory string `cbor:"1,keyasint"`
	// After is how many batches the copy has taken.
	After   uint64   `cbor:"2,keyasint,omitempty"`
	Full    bool     `cbor:"3,keyasint,omitempty"`
	Changed []Person `cbor:"4,keyasint,omitempty"`
	Gone    []string `cbor:"5,keyasint,omitempty"`
	// Named entries are there, but cannot be copied as they are now.
	Named    []string `cbor:"6,keyasint,omitempty"`
	Complete bool     `cbor:"7,keyasint,omitempty"`
	Cookie   []byte   `cbor:"8,keyasint,omitempty"`
}

// Person is an entry of a directory: a value that no machine reads, and what it
// is found and judged by.
type Person struct {
	Key   string   `cbor:"1,keyasint"`
	Value []byte   `cbor:"2,keyasint"`
	Index []string `cbor:"3,keyasint,omitempty"`
	// Has has a bit for each attribute that the entry has.
	Has      uint32 `cbor:"4,keyasint,omitempty"`
	Disabled bool   `cbor:"5,keyasint,omitempty"`
}

// SettlePeople has the changes that the brake holds made or, else, forgotten: then
// the directory is read anew. At most 1,000 are made at a time. KindConflict: what
// is held is not what has the number.
type SettlePeople struct {
	Directory string `cbor:"1,keyasint"`
	Pending   uint64 `cbor:"2,keyasint"`
	Approve   bool   `cbor:"3,keyasint,omitempty"`
}

// DropPeople forgets the copy of a directory.
type DropPeople struct {
	Directory string `cbor:"1,keyasint"`
}

// Touches implements Command.
func (*CopyPeople) Touches() Touch { return Touch{Kind: TouchNone} }

// Touches implements Command.
func (*SettlePeople) Touches() Touch { return Touch{Kind: TouchNone} }

// Touches implements Command.
func (*DropPeople) Touches() Touch { return Touch{Kind: TouchNone} }
