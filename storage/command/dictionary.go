package command

import "rookery"

// MaxSealedDictionary bounds a sealed dictionary in bytes.
const MaxSealedDictionary = 160 << 10

// AddDictionary keeps a trained dictionary on every node; nothing is compressed
// with it yet. It replaces one that was never adopted.
type AddDictionary struct {
	// ID is above that of every one before, from rookery.FirstSiteDictionary on; else
	// KindConflict.
	ID rookery.DictionaryID `cbor:"1,keyasint"`
	// Sealed is the dictionary under the tenant key of version Key.
	Sealed []byte `cbor:"2,keyasint"`
	Key    uint32 `cbor:"3,keyasint"`
	// Messages and Accounts are what it was trained on. Before and After are
	// what held-out mail takes, in thousandths of what was received, with what
	// was used before and with this.
	Messages uint32 `cbor:"4,keyasint,omitempty"`
	Accounts uint32 `cbor:"5,keyasint,omitempty"`
	Before   uint32 `cbor:"6,keyasint,omitempty"`
	After    uint32 `cbor:"7,keyasint,omitempty"`
}

// AdoptDictionary makes a dictionary the one that new mail is compressed with.
// Nodes are those that have said they can read with it: KindConflict unless all
// members of the cluster are among them, or where a later one was adopted.
type AdoptDictionary struct {
	ID    rookery.DictionaryID `cbor:"1,keyasint"`
	Nodes []rookery.NodeID     `cbor:"2,keyasint"`
}

// ResealDictionary replaces the sealed form of a dictionary by one under
// another version of the tenant key, if its hash (SHA-256) is still Old; else
// KindConflict.
type ResealDictionary struct {
	ID     rookery.DictionaryID `cbor:"1,keyasint"`
	Old    [32]byte             `cbor:"2,keyasint"`
	Sealed []byte               `cbor:"3,keyasint"`
	Key    uint32               `cbor:"4,keyasint"`
}

// Type implements Command.
func (*AddDictionary) Type() Type { return TypeAddDictionary }

// Type implements Command.
func (*AdoptDictionary) Type() Type { return TypeAdoptDictionary }

// Type implements Command.
func (*ResealDictionary) Type() Type { return TypeResealDictionary }
