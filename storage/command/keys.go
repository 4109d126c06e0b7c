package command

import "rookery"

// KeyFloor has a mail group refuse account keys that are wrapped under a
// tenant key version below Version, from then on: nothing comes back under a
// version that is about to be destroyed. The floor never falls.
type KeyFloor struct {
	Version uint32 `cbor:"1,keyasint"`
}

// MaxRewrap bounds the accounts of one RewrapAccounts.
const MaxRewrap = 256

// RewrapAccounts replaces wraps of account keys by wraps of the same keys under
// a newer tenant key version. Each is done only where the account still has the
// old wrap; others are skipped, so that it may be repeated and no change that
// came between is lost.
type RewrapAccounts struct {
	Accounts []Rewrapped `cbor:"1,keyasint"`
}

// Rewrapped is the key of one account.
type Rewrapped struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Old     []byte            `cbor:"2,keyasint"`
	New     []byte            `cbor:"3,keyasint"`
}

// BarAccount is EraseAccount for ever: the group refuses to create the account
// again. It is idempotent, also where the account never was.
type BarAccount struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
}

// RewrapResult answers RewrapAccounts.
type RewrapResult struct {
	// Done are those replaced; the others were gone or had changed.
	Done uint32 `cbor:"1,keyasint,omitempty"`
}

func (*RewrapResult) result() {}

// SetTenantKey records a version of the tenant's key, which itself is never in
// a log: as the one in use, once every node that answers has it; or as
// destroyed, which every node follows by forgetting it. Both are final. It is
// idempotent; KindConflict: another key has that version, or it would go back.
type SetTenantKey struct {
	Version uint32 `cbor:"1,keyasint"`
	// Fingerprint names the key in use.
	Fingerprint [16]byte `cbor:"2,keyasint"`
	Destroyed   bool     `cbor:"3,keyasint,omitempty"`
}

// MaxErase bounds the accounts of one EraseAccounts.
const MaxErase = 1000

// EraseAccounts begins the erasure of accounts: nobody signs in to them or
// delivers to them any more, and the cluster goes on until nothing of them can
// be read. KindNotFound: one is not on the map; then none is begun.
type EraseAccounts struct {
	Accounts []rookery.AccountID `cbor:"1,keyasint"`
}

// AccountsErased records that accounts are barred in their groups. Their keys
// were wrapped under no tenant key version that comes after the one in use now.
type AccountsErased struct {
	Accounts []rookery.AccountID `cbor:"1,keyasint"`
}

// Touches implements Command.
func (*KeyFloor) Touches() Touch { return Touch{Kind: TouchNone} }

// Touches implements Command.
func (c *RewrapAccounts) Touches() Touch {
	ids := make([]rookery.AccountID, len(c.Accounts))
	for i := range c.Accounts {
		ids[i] = c.Accounts[i].Account
	}
	return touch(ids...)
}

// Touches implements Command.
func (c *BarAccount) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (*SetTenantKey) Touches() Touch { return Touch{Kind: TouchNone} }

// Touches implements Command.
func (c *EraseAccounts) Touches() Touch { return touch(c.Accounts...) }

// Touches implements Command.
func (c *AccountsErased) Touches() Touch { return touch(c.Accounts...) }
