package command

import "rookery"

// Archived says, in a mail group and in the system group alike, that the archive
// has every entry up to Upto: the floor of the archive in each replica's log.
// The first one switches archiving on, from its own entry on, whatever Upto
// says: the archive makes an image then, and of each later entry the group keeps
// what became of it until that is archived. It never goes back; KindInvalid:
// Upto is above the entry's own index.
type Archived struct {
	Upto rookery.LogIndex `cbor:"1,keyasint,omitempty"`
	// End switches archiving off.
	End bool `cbor:"2,keyasint,omitempty"`
}

// Touches implements Command.
func (*Archived) Touches() Touch { return Touch{Kind: TouchNone} }
