package command

import "rookery"

// EnsureAccount maps a directory key to an account and its group, once: the
// first proposal wins and every later one gets its answer.
type EnsureAccount struct {
	// DirectoryKey is "<directory name>/<entry uuid>".
	DirectoryKey string `cbor:"1,keyasint"`
	// Account and Group are proposals.
	Account rookery.AccountID `cbor:"2,keyasint"`
	Group   rookery.GroupID   `cbor:"3,keyasint"`
}

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
func (c *EnsureAccount) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (*SetSettings) Touches() Touch { return Touch{Kind: TouchNone} }

// Touches implements Command.
func (*RegisterNode) Touches() Touch { return Touch{Kind: TouchNone} }
