package command

import (
	"fmt"

	"rookery"
	"rookery/storage/uidset"
)

// Result is one of the result structs of this package, by pointer: what a
// command answered where it succeeded.
type Result interface{ result() }

// AccountResult answers CreateAccount.
type AccountResult struct {
	// Created is false where the account existed.
	Created bool `cbor:"1,keyasint,omitempty"`
}

// MailboxResult answers CreateMailbox and RenameMailbox with the mailbox of
// the name asked for (0 where only inferiors of a missing name were renamed).
type MailboxResult struct {
	Mailbox     rookery.MailboxID   `cbor:"1,keyasint,omitempty"`
	UIDValidity rookery.UIDValidity `cbor:"2,keyasint,omitempty"`
	// Name is the name as it is stored.
	Name string `cbor:"3,keyasint,omitempty"`
}

// Filed is what became of one Delivery, in the order of the command.
type Filed struct {
	// OK says the message is filed; else Kind says why not: KindNotFound,
	// KindOverQuota, KindLimit, KindInvalid.
	OK          bool                `cbor:"1,keyasint,omitempty"`
	Kind        rookery.Kind        `cbor:"2,keyasint,omitempty"`
	Mailbox     rookery.MailboxID   `cbor:"3,keyasint,omitempty"`
	UIDValidity rookery.UIDValidity `cbor:"4,keyasint,omitempty"`
	UID         rookery.UID         `cbor:"5,keyasint,omitempty"`
	ModSeq      rookery.ModSeq      `cbor:"6,keyasint,omitempty"`
	Text        string              `cbor:"7,keyasint,omitempty"`
}

// Err is the error of a delivery that was not filed, else nil.
func (f Filed) Err() error {
	if f.OK {
		return nil
	}
	return rookery.E("deliver", f.Kind, fmt.Errorf("%s", f.Text))
}

// DeliverResult answers Deliver.
type DeliverResult struct {
	Filed []Filed `cbor:"1,keyasint,omitempty"`
	// Body is the body's id; 0 where nothing refers to it.
	Body BodyID `cbor:"2,keyasint,omitempty"`
	// Again, where set, says that nothing was done: the item's account may send
	// to other systems again then, group time in unix nanoseconds.
	Again int64 `cbor:"3,keyasint,omitempty"`
	// Unusual says that what the item owes to other systems is held.
	Unusual bool `cbor:"4,keyasint,omitempty"`
}

// StoreResult answers StoreFlags.
type StoreResult struct {
	// Modified failed UNCHANGEDSINCE; Changed are those that got new flags.
	Modified uidset.Set `cbor:"1,keyasint,omitempty"`
	Changed  uidset.Set `cbor:"2,keyasint,omitempty"`
	// ModSeq is the mailbox's highest after the command.
	ModSeq rookery.ModSeq `cbor:"3,keyasint,omitempty"`
}

// ExpungeResult answers Expunge.
type ExpungeResult struct {
	UIDs uidset.Set `cbor:"1,keyasint,omitempty"`
	// ModSeq is the mailbox's highest after the command.
	ModSeq rookery.ModSeq `cbor:"2,keyasint,omitempty"`
	// More says that messages remain to be removed by another command.
	More bool `cbor:"3,keyasint,omitempty"`
}

// CopyResult answers Copy, Move and Recover. Src and Dst correspond in
// ascending order (RFC 4315 COPYUID).
type CopyResult struct {
	UIDValidity rookery.UIDValidity `cbor:"1,keyasint,omitempty"`
	Src         uidset.Set          `cbor:"2,keyasint,omitempty"`
	Dst         uidset.Set          `cbor:"3,keyasint,omitempty"`
	// ModSeq is the account's after the command.
	ModSeq rookery.ModSeq `cbor:"4,keyasint,omitempty"`
}

// PurgeResult answers PurgeExpunged.
type PurgeResult struct {
	Purged uint32 `cbor:"1,keyasint,omitempty"`
	More   bool   `cbor:"2,keyasint,omitempty"`
}

// Done answers commands that have nothing to say.
type Done struct{}

// EnsureResult answers EnsureAccount with the mapping that holds.
type EnsureResult struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Group   rookery.GroupID   `cbor:"2,keyasint"`
	// Created says that this command made the mapping.
	Created bool `cbor:"3,keyasint,omitempty"`
	// Holder is an account whose entry had one of the addresses when it was
	// last seen: there is no mapping. Zero if there is one.
	Holder rookery.AccountID `cbor:"4,keyasint"`
}

// SettingsResult answers SetSettings with the new version.
type SettingsResult struct {
	Version uint64 `cbor:"1,keyasint,omitempty"`
}

func (*AccountResult) result()  {}
func (*MailboxResult) result()  {}
func (*DeliverResult) result()  {}
func (*StoreResult) result()    {}
func (*ExpungeResult) result()  {}
func (*CopyResult) result()     {}
func (*PurgeResult) result()    {}
func (*Done) result()           {}
func (*EnsureResult) result()   {}
func (*AuditResult) result()    {}
func (*SettingsResult) result() {}

// EncodeResult gives a result's bytes; nil for Done.
func EncodeResult(r Result) []byte {
	if _, ok := r.(*Done); ok || r == nil {
		return nil
	}
	b, err := encMode.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("command: cannot encode %T: %v", r, err)) // fields of this package only
	}
	return b
}

// DecodeResult reads the result of a command of type t. Errors are
// KindInvalid.
func DecodeResult(t Type, b []byte) (Result, error) {
	row, err := rowOf(t)
	if err != nil {
		return nil, rookery.E("decode result", rookery.KindInvalid, err)
	}
	r := row.result()
	if _, ok := r.(*Done); ok {
		return r, nil
	}
	if err := decMode.Unmarshal(b, r); err != nil {
		return nil, rookery.E("decode result", rookery.KindInvalid, fmt.Errorf("result of command %s: %w", row.Name, err))
	}
	return r, nil
}
