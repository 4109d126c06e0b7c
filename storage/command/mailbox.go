package command

import "rookery"

// CreateMailbox creates a mailbox and its missing parents.
type CreateMailbox struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Name    string            `cbor:"2,keyasint"`
	// Role is a SPECIAL-USE attribute or empty (RFC 6154 3). One mailbox of
	// an account has a role.
	Role string `cbor:"3,keyasint,omitempty"`
	// Validity proposes the UIDVALIDITY: unix seconds.
	Validity uint32 `cbor:"4,keyasint,omitempty"`
	// Subscribe subscribes the new name as well.
	Subscribe bool `cbor:"5,keyasint,omitempty"`
}

// DeleteMailbox deletes a mailbox by name; its messages become recoverable.
// Inferiors and the subscription stay (RFC 9051 6.3.5).
type DeleteMailbox struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Name    string            `cbor:"2,keyasint"`
}

// RenameMailbox renames a mailbox, its inferiors and their subscriptions.
// INBOX stays: its messages move (RFC 9051 6.3.6).
type RenameMailbox struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	From    string            `cbor:"2,keyasint"`
	To      string            `cbor:"3,keyasint"`
	// Validity proposes the UIDVALIDITY of mailboxes made on the way.
	Validity uint32 `cbor:"4,keyasint,omitempty"`
}

// Subscribe adds a name to the subscriptions or takes it away. The mailbox
// need not exist (RFC 9051 6.3.7).
type Subscribe struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Name    string            `cbor:"2,keyasint"`
	On      bool              `cbor:"3,keyasint,omitempty"`
}

// Touches implements Command.
func (c *CreateMailbox) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *DeleteMailbox) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *RenameMailbox) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *Subscribe) Touches() Touch { return touch(c.Account) }

func (c *CreateMailbox) normal() Command {
	n := *c
	n.Name = NormalName(c.Name)
	return &n
}

func (c *DeleteMailbox) normal() Command {
	n := *c
	n.Name = NormalName(c.Name)
	return &n
}

func (c *RenameMailbox) normal() Command {
	n := *c
	n.From, n.To = NormalName(c.From), NormalName(c.To)
	return &n
}

func (c *Subscribe) normal() Command {
	n := *c
	n.Name = NormalName(c.Name)
	return &n
}
