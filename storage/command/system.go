package command

import "rookery"

// EnsureAccount maps a directory key to an account and its group, once: the
// first proposal wins and every later one gets its answer. Where an account is
// known to have belonged to an entry with one of the addresses, none is made.
type EnsureAccount struct {
	// DirectoryKey is "<directory id>/<entry uuid>".
	DirectoryKey string `cbor:"1,keyasint"`
	// Account and Group are proposals.
	Account rookery.AccountID `cbor:"2,keyasint"`
	Group   rookery.GroupID   `cbor:"3,keyasint"`
	// Login and Addresses are those of rookery.Owner.
	Login     string   `cbor:"4,keyasint,omitempty"`
	Addresses []string `cbor:"5,keyasint,omitempty"`
	DN        string   `cbor:"6,keyasint,omitempty"`
}

// NoteOwner replaces what is known of an account's owner. It is KindConflict
// where the account belongs to another entry by now.
type NoteOwner struct {
	Account      rookery.AccountID `cbor:"1,keyasint"`
	DirectoryKey string            `cbor:"2,keyasint"`
	Login        string            `cbor:"3,keyasint,omitempty"`
	Addresses    []string          `cbor:"4,keyasint,omitempty"`
	DN           string            `cbor:"5,keyasint,omitempty"`
}

// LinkAccount binds a directory entry to an account that another entry had. It
// is KindExists where the entry has an account that is neither this nor Other.
type LinkAccount struct {
	Account      rookery.AccountID `cbor:"1,keyasint"`
	DirectoryKey string            `cbor:"2,keyasint"`
	Login        string            `cbor:"3,keyasint,omitempty"`
	Addresses    []string          `cbor:"4,keyasint,omitempty"`
	// Other is the account that the entry may have had before, or zero. The
	// former entry gets it: what may have come into it meanwhile is not lost.
	Other rookery.AccountID `cbor:"5,keyasint"`
	DN    string            `cbor:"6,keyasint,omitempty"`
}

// Touches implements Command.
func (c *NoteOwner) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *LinkAccount) Touches() Touch { return touch(c.Account, c.Other) }

// SetSettings replaces the cluster settings if they still have the version
// expected (0: none yet), else KindConflict.
type SetSettings struct {
	Version  uint64 `cbor:"1,keyasint,omitempty"`
	Document []byte `cbor:"2,keyasint,omitempty"`
}

// RegisterNode adds a node to the registry or replaces its facts; its state
// stays. It is KindDenied for a removed node and for one whose version is
// below the gate.
type RegisterNode struct {
	Node    rookery.NodeID `cbor:"1,keyasint"`
	Name    string         `cbor:"2,keyasint,omitempty"`
	Address string         `cbor:"3,keyasint,omitempty"`
	// Version is the highest command version the node reads.
	Version uint32 `cbor:"4,keyasint,omitempty"`
	// Zone is where the node stands, for placement.
	Zone string `cbor:"5,keyasint,omitempty"`
	// Remove removes the node instead, as SetNodeState does.
	Remove bool `cbor:"6,keyasint,omitempty"`
	// Key is the hash of the node's public key; all zero leaves it as it is. A
	// member's key is replaced only where it is the only one, else KindExists:
	// the others would refuse the node.
	Key [32]byte `cbor:"7,keyasint"`
}

// ForgetAccount takes an erased account off the map: its directory entry,
// should it come back, gets a new account. It is proposed after EraseAccount
// and idempotent.
type ForgetAccount struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
}

// Touches implements Command.
func (c *ForgetAccount) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
//
// It asks besides whether any account had an address, and reads no more of it.
func (c *EnsureAccount) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (*SetSettings) Touches() Touch { return Touch{Kind: TouchNone} }

// Touches implements Command.
func (*RegisterNode) Touches() Touch { return Touch{Kind: TouchNone} }
