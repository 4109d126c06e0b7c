package command

import "rookery"

// Jump moves a mail group's counters on after a lost majority: what it
// acknowledged beyond this log is not known, so no UID, MODSEQ, UIDVALIDITY
// or MailboxID that a client may have seen is given again. It is written into
// the log by the recovery, before anything else of the new generation.
type Jump struct {
	// Recovery names the recovery.
	Recovery string `cbor:"1,keyasint"`
	// UIDs is added to every mailbox's UIDNEXT, ModSeqs to every account's
	// MODSEQ, Mailboxes to the next MailboxID and the next UIDVALIDITY.
	UIDs      uint32 `cbor:"2,keyasint"`
	ModSeqs   uint64 `cbor:"3,keyasint"`
	Mailboxes uint32 `cbor:"4,keyasint"`
	// CountersOnly leaves the moves under way as they are: entries follow that
	// the lost majority may have committed, and may finish one of them.
	CountersOnly bool `cbor:"5,keyasint,omitempty"`
	// Quiet holds what is owed to other systems: the cluster is brought back from its
	// archive, and may have sent it in the time that was lost.
	Quiet bool `cbor:"6,keyasint,omitempty"`
}

// Recovered begins a new generation of the cluster with the nodes that
// survived: every other node is removed for ever, every group is placed on
// survivors.
type Recovered struct {
	// Generation counts recoveries; Recovery names this one.
	Generation uint64 `cbor:"1,keyasint"`
	Recovery   string `cbor:"2,keyasint"`
	// Groups says which survivor is the only voter of each group, and which
	// hold a copy.
	Groups []RecoveredGroup `cbor:"3,keyasint"`
	// Nodes are the survivors as their disks have them: the registry gets their
	// keys, also of those whose admission was lost.
	Nodes []RecoveredNode `cbor:"4,keyasint"`
	// FromArchive is that the cluster is brought back from its archive: invitations of
	// that time are void.
	FromArchive bool `cbor:"5,keyasint,omitempty"`
}

// RecoveredNode is a survivor of a recovery.
type RecoveredNode struct {
	Node    rookery.NodeID `cbor:"1,keyasint"`
	Address string         `cbor:"2,keyasint,omitempty"`
	// Key is the hash of its public key.
	Key [32]byte `cbor:"3,keyasint"`
}

// RecoveredGroup is one group of a recovery.
type RecoveredGroup struct {
	Group   rookery.GroupID  `cbor:"1,keyasint"`
	Seed    rookery.NodeID   `cbor:"2,keyasint"`
	Members []rookery.NodeID `cbor:"3,keyasint"`
}

// Touches implements Command.
func (*Jump) Touches() Touch { return Touch{Kind: TouchAll} }

// Touches implements Command.
func (*Recovered) Touches() Touch { return Touch{Kind: TouchNone} }
