package command

import "rookery"

// CreateGroup adds a group to the placement with the nodes it starts on, as
// version 1. It is KindExists for a group that is there.
type CreateGroup struct {
	Group   rookery.GroupID  `cbor:"1,keyasint"`
	Members []rookery.NodeID `cbor:"2,keyasint"`
}

// FoundGroup adds a group to a running cluster, placed on its founder alone,
// as version 1: the one node that may begin the group's Raft, for ever. The
// group stands in the place of the first void one, where there is any. It is
// KindExists for a group that is there.
type FoundGroup struct {
	Group   rookery.GroupID `cbor:"1,keyasint"`
	Founder rookery.NodeID  `cbor:"2,keyasint"`
}

// PlaceGroup says which nodes shall hold a group, if its placement still has
// the version expected, else KindConflict. Raft's configuration follows.
type PlaceGroup struct {
	Group   rookery.GroupID  `cbor:"1,keyasint"`
	Members []rookery.NodeID `cbor:"2,keyasint"`
	Version uint64           `cbor:"3,keyasint"`
}

// ConfirmGroup records who votes in a group, and that its Raft configuration
// follows a version of the placement. The group's leader proposes it, Open
// before every change of the votes; KindConflict if the placement has another
// version meanwhile.
type ConfirmGroup struct {
	Group   rookery.GroupID  `cbor:"1,keyasint"`
	Version uint64           `cbor:"2,keyasint"`
	Voters  []rookery.NodeID `cbor:"3,keyasint"`
	// Open says that the configuration does not follow the version yet: only
	// the voters are recorded.
	Open bool `cbor:"4,keyasint,omitempty"`
}

// PlacementResult answers CreateGroup, FoundGroup and PlaceGroup with the placement's
// new version.
type PlacementResult struct {
	Version uint64 `cbor:"1,keyasint,omitempty"`
}

func (*PlacementResult) result() {}

// Touches implements Command.
func (*CreateGroup) Touches() Touch { return Touch{Kind: TouchNone} }

// Touches implements Command.
func (*FoundGroup) Touches() Touch { return Touch{Kind: TouchNone} }

// Touches implements Command.
func (*PlaceGroup) Touches() Touch { return Touch{Kind: TouchNone} }

// Touches implements Command.
func (*ConfirmGroup) Touches() Touch { return Touch{Kind: TouchNone} }
