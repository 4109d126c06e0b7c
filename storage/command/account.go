package command

import "rookery"

// Role is a folder with a SPECIAL-USE attribute (RFC 6154).
type Role struct {
	Name string `cbor:"1,keyasint,omitempty"`
	// Attr is the attribute as IMAP spells it: \Sent.
	Attr string `cbor:"2,keyasint,omitempty"`
}

// DefaultRoles are the role folders an account starts with, named as Outlook
// names them.
func DefaultRoles() []Role {
	return []Role{
		{"Sent Items", `\Sent`}, {"Deleted Items", `\Trash`}, {"Drafts", `\Drafts`},
		{"Junk Email", `\Junk`}, {"Archive", `\Archive`},
	}
}

// CreateAccount creates an account with INBOX and its role folders, all
// subscribed. Where the account exists nothing changes and the result says so.
type CreateAccount struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	// Key is the account key, wrapped by a tenant key.
	Key []byte `cbor:"2,keyasint,omitempty"`
	// Quota is in bytes; 0 is unlimited.
	Quota int64  `cbor:"3,keyasint,omitempty"`
	Roles []Role `cbor:"4,keyasint,omitempty"`
	// Validity proposes the first UIDVALIDITY: unix seconds.
	Validity uint32 `cbor:"5,keyasint,omitempty"`
}

// SetQuota changes an account's quota in bytes; 0 is unlimited.
type SetQuota struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Quota   int64             `cbor:"2,keyasint,omitempty"`
}

// EraseAccount removes an account with everything in it; the wrapped key goes at
// once, what is left of the rest with PurgeExpunged of the account.
type EraseAccount struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
}

// Touches implements Command.
func (c *CreateAccount) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *SetQuota) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *EraseAccount) Touches() Touch { return touch(c.Account) }

func (c *CreateAccount) normal() Command {
	n := *c
	n.Roles = make([]Role, len(c.Roles))
	for i, r := range c.Roles {
		n.Roles[i] = Role{NormalName(r.Name), r.Attr}
	}
	return &n
}
