package command

import (
	"rookery"
	"rookery/storage/uidset"
)

// MaxBatch bounds the messages one command may touch. Larger requests are
// split by the proposer.
const MaxBatch = 1000

// StoreMode says what StoreFlags does with the flags it names.
type StoreMode uint8

// The modes: +FLAGS, -FLAGS and FLAGS of RFC 9051 6.4.6.
const (
	StoreAdd StoreMode = iota
	StoreRemove
	StoreReplace
)

// StoreFlags changes flags and keywords. A message it leaves as it was keeps
// its MODSEQ.
type StoreFlags struct {
	Account  rookery.AccountID `cbor:"1,keyasint"`
	Mailbox  rookery.MailboxID `cbor:"2,keyasint"`
	UIDs     uidset.Set        `cbor:"3,keyasint,omitempty"`
	Mode     StoreMode         `cbor:"4,keyasint,omitempty"`
	Flags    Flags             `cbor:"5,keyasint,omitempty"`
	Keywords []string          `cbor:"6,keyasint,omitempty"`
	// UnchangedSince, where set, leaves messages with a higher MODSEQ alone
	// and lists them as modified (RFC 7162 3.1.3).
	UnchangedSince *rookery.ModSeq `cbor:"7,keyasint,omitempty"`
}

// Expunge removes messages; they become recoverable.
type Expunge struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Mailbox rookery.MailboxID `cbor:"2,keyasint"`
	// UIDs are the candidates; All takes the whole mailbox instead, MaxBatch
	// messages a command: the result says whether more remain.
	UIDs uidset.Set `cbor:"3,keyasint,omitempty"`
	All  bool       `cbor:"4,keyasint,omitempty"`
	// Force removes messages without \Deleted too: POP3 DELE.
	Force bool `cbor:"5,keyasint,omitempty"`
}

// Copy copies messages to another (or the same) mailbox of the account, all
// or none.
type Copy struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	From    rookery.MailboxID `cbor:"2,keyasint"`
	UIDs    uidset.Set        `cbor:"3,keyasint,omitempty"`
	To      rookery.MailboxID `cbor:"4,keyasint"`
}

// Move moves messages to another (or the same) mailbox of the account, all
// or none (RFC 6851).
type Move struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	From    rookery.MailboxID `cbor:"2,keyasint"`
	UIDs    uidset.Set        `cbor:"3,keyasint,omitempty"`
	To      rookery.MailboxID `cbor:"4,keyasint"`
}

// ExpungedID names an entry of the recoverable list: what was expunged at
// ModSeq with UID.
type ExpungedID struct {
	ModSeq rookery.ModSeq `cbor:"1,keyasint"`
	UID    rookery.UID    `cbor:"2,keyasint"`
}

// PurgeExpunged destroys what an account expunged before a time, MaxBatch
// messages a command: the result says whether more remain. It also goes on
// removing what its deleted mailboxes, or the account where it was erased or has
// moved away, left behind.
type PurgeExpunged struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	// Before is group time in unix nanoseconds.
	Before int64 `cbor:"2,keyasint"`
}

// Recover files expunged messages again, in To, with new UIDs and without
// \Deleted, all or none. It takes at most MaxBatch.
type Recover struct {
	Account  rookery.AccountID `cbor:"1,keyasint"`
	Messages []ExpungedID      `cbor:"2,keyasint"`
	To       rookery.MailboxID `cbor:"3,keyasint"`
}

// Touches implements Command.
func (c *StoreFlags) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *Expunge) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *Copy) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *Move) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *PurgeExpunged) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *Recover) Touches() Touch { return touch(c.Account) }
