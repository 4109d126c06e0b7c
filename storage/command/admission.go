package command

import "rookery"

// NodeState says what the cluster makes of a node. Numbers are only ever
// appended.
type NodeState uint8

// The states of a node.
const (
	// NodeActive nodes hold replicas and lead groups.
	NodeActive NodeState = 0
	// NodeDraining nodes get no new replica and lead nothing; what they hold
	// moves to others where others have room.
	NodeDraining NodeState = 1
	// NodeRemoved nodes are no members any more. The state is final.
	NodeRemoved NodeState = 2
)

func (s NodeState) String() string {
	switch s {
	case NodeActive:
		return "active"
	case NodeDraining:
		return "draining"
	case NodeRemoved:
		return "removed"
	}
	return "unknown"
}

// Invite keeps an invitation for one node. The same ID with the same hash is
// kept once, with another hash it is KindExists.
type Invite struct {
	ID string `cbor:"1,keyasint"`
	// Hash is of the token; the token itself is in no log.
	Hash [32]byte `cbor:"2,keyasint"`
	// Expires is when the invitation ends, unix nanoseconds of group time.
	Expires int64 `cbor:"3,keyasint"`
}

// Revoke takes an invitation back, used or not; it is idempotent.
type Revoke struct {
	ID string `cbor:"1,keyasint"`
}

// Admit uses an invitation up and registers the node, in one step. A wrong,
// expired or used invitation is KindCredentials with one text. A node that
// used it already is admitted again if its key is the same, so that one whose
// answer was lost can repeat. A good invitation can still be refused, and is
// not used up then: KindExists for an id that a node with another key has,
// KindDenied for a removed id and for a version below the gate.
type Admit struct {
	ID   string         `cbor:"1,keyasint"`
	Hash [32]byte       `cbor:"2,keyasint"`
	Node rookery.NodeID `cbor:"3,keyasint"`
	// Key is the hash of the node's public key.
	Key     [32]byte `cbor:"4,keyasint"`
	Name    string   `cbor:"5,keyasint,omitempty"`
	Address string   `cbor:"6,keyasint,omitempty"`
	Zone    string   `cbor:"7,keyasint,omitempty"`
	// Version is the highest command version the node reads.
	Version uint32 `cbor:"8,keyasint,omitempty"`
}

// SetNodeState drains a node, makes it active again, or removes it for ever.
// Removal is KindConflict where a group would lose its quorum by it.
type SetNodeState struct {
	Node  rookery.NodeID `cbor:"1,keyasint"`
	State NodeState      `cbor:"2,keyasint,omitempty"`
}

// FinalizeVersion raises the version gate: from then on commands of that
// version may be proposed, and nodes that do not read them stay out. It is
// KindConflict while a member reports a lower version. The gate never falls.
type FinalizeVersion struct {
	Version uint32 `cbor:"1,keyasint"`
}

// Touches implements Command.
func (*Invite) Touches() Touch { return Touch{Kind: TouchNone} }

// Touches implements Command.
func (*Revoke) Touches() Touch { return Touch{Kind: TouchNone} }

// Touches implements Command.
func (*Admit) Touches() Touch { return Touch{Kind: TouchNone} }

// Touches implements Command.
func (*SetNodeState) Touches() Touch { return Touch{Kind: TouchNone} }

// Touches implements Command.
func (*FinalizeVersion) Touches() Touch { return Touch{Kind: TouchNone} }
