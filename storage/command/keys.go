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

// Rewrapped is one key of one account, its newest or the one before that.
type Rewrapped struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Old     []byte            `cbor:"2,keyasint"`
	New     []byte            `cbor:"3,keyasint"`
}

// RotateAccountKey gives an account a new key, of the next generation. From
// then on its messages come wrapped by the new one, and those that are there
// are rewrapped by RewrapMessages; DropAccountKey ends it. KindConflict: the
// account has another key than Old meanwhile, or is still giving one up.
type RotateAccountKey struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	// Old is the account's wrapped key, New the one that follows it.
	Old []byte `cbor:"2,keyasint"`
	New []byte `cbor:"3,keyasint"`
}

// RewrapMessages replaces the wrapped keys of an account's messages, in the
// order of their EmailIDs: those behind After up to Last, at most MaxBatch.
// KindConflict: it does not go on from where the account stands, or leaves out
// a message that the old key wraps.
type RewrapMessages struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	After   rookery.EmailID   `cbor:"2,keyasint"`
	Last    rookery.EmailID   `cbor:"3,keyasint"`
	Keys    []EmailKey        `cbor:"4,keyasint,omitempty"`
}

// EmailKey is a message's key, wrapped by its account's.
type EmailKey struct {
	Email rookery.EmailID `cbor:"1,keyasint"`
	Key   []byte          `cbor:"2,keyasint"`
}

// LastEmail is the highest EmailID: RewrapMessages up to it is the last one.
var LastEmail = rookery.EmailID{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}

// DropAccountKey forgets the key of the generation before Generation, once
// every message is rewrapped (else KindConflict). Whoever proposes it knows
// that no other group owes the account a message under that key. It is
// idempotent.
type DropAccountKey struct {
	Account    rookery.AccountID `cbor:"1,keyasint"`
	Generation uint32            `cbor:"2,keyasint"`
}

// BarAccount is EraseAccount for ever: the group refuses to create the account
// again. It is idempotent, also where the account never was.
type BarAccount struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
}

// RewrapResult answers RewrapAccounts and RewrapMessages.
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

// Type implements Command.
func (*KeyFloor) Type() Type { return TypeKeyFloor }

// Type implements Command.
func (*RewrapAccounts) Type() Type { return TypeRewrapAccounts }

// Type implements Command.
func (*RotateAccountKey) Type() Type { return TypeRotateAccountKey }

// Type implements Command.
func (*RewrapMessages) Type() Type { return TypeRewrapMessages }

// Type implements Command.
func (*DropAccountKey) Type() Type { return TypeDropAccountKey }

// Type implements Command.
func (*BarAccount) Type() Type { return TypeBarAccount }

// Type implements Command.
func (*SetTenantKey) Type() Type { return TypeSetTenantKey }

// Type implements Command.
func (*EraseAccounts) Type() Type { return TypeEraseAccounts }

// Type implements Command.
func (*AccountsErased) Type() Type { return TypeAccountsErased }
