package command

import "rookery"

// ForgetNode lets a mail group go of everything it keeps for a node that was
// removed: its open stages and the results of its commands. Whatever it still
// sends is refused, for ever. It is proposed only once the registry says that
// the node is removed, which is final, and is idempotent.
type ForgetNode struct {
	Node rookery.NodeID `cbor:"1,keyasint"`
}

// ForgetMember does the same in the system group. KindConflict: the registry
// does not have the node as removed.
type ForgetMember struct {
	Node rookery.NodeID `cbor:"1,keyasint"`
}

// Touches implements Command.
func (*ForgetNode) Touches() Touch { return Touch{Kind: TouchBodies} }

// Touches implements Command.
func (*ForgetMember) Touches() Touch { return Touch{Kind: TouchNone} }
