// Package mailbox is the state machine of a mail group: accounts, mailboxes,
// messages, the bodies they share, threads, the recoverable list, staged
// chunks, packs with what keeps them (package holds), the queue (package queue) and
// what restores bring back, together with the views that read them.
//
// It is deterministic: an Apply depends on the entry and the state before it
// and on nothing else. It has no clock, no randomness, no goroutine and does
// no I/O but through the transaction it is handed. It speaks no protocol,
// decrypts nothing and never reads a body.
//
// Rules it keeps:
//
//   - One MODSEQ per account and command; a command that changes nothing does
//     not count. UIDs, MODSEQ, UIDVALIDITY and MailboxIDs only rise and are
//     never used twice.
//   - DELETE removes the mailbox alone. Inferiors stay and the name, should
//     it have any, lives on as a name without a mailbox (LIST shows it as
//     \NonExistent, as Dovecot does); to delete such a name is refused.
//   - What is expunged or deleted with its mailbox leaves the quota at once
//     and stays in the account's recoverable list until PurgeExpunged.
//   - A body lives as long as an email or an item of the queue refers to it, an email as
//     long as a row or an entry of the recoverable list does.
//   - Work without bound (the rows of a deleted mailbox, an erased account)
//     is finished by PurgeExpunged of that account: no account's commands
//     change rows of another.
package mailbox

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/uidset"
)

// Bounds of the machine. They are part of its meaning: a change needs a new
// command version.
const (
	// MaxMailboxes bounds the mailboxes of an account.
	MaxMailboxes = 10000
	// MaxSubscriptions bounds the subscribed names of an account.
	MaxSubscriptions = 10000
	// MaxName bounds a mailbox name, MaxLevel one level of it, in bytes.
	MaxName  = 1000
	MaxLevel = 255
	// MaxTombstones bounds a mailbox's tombstones, in runs of UIDs. Older
	// ones go; Changes is incomplete below them.
	MaxTombstones = 10000
	// MaxTokens bounds the thread tokens of a delivery that count.
	MaxTokens = 64
	// MaxStaged bounds the bytes one node may hold staged in a group, open
	// stages together; MaxStages their number.
	MaxStaged = 4 << 30
	MaxStages = 1024
)

// Inbox is the id of INBOX in every account.
const Inbox rookery.MailboxID = 1

// Flags is a message's system flags.
type Flags = command.Flags

// UIDs is an immutable run-length list of UIDs.
type UIDs = uidset.Set

// BodyID names a body in its group: the log index of its Deliver.
type BodyID = command.BodyID

// Account is an account as a view shows it.
type Account struct {
	ID rookery.AccountID
	// Key is the account's key, wrapped by a tenant key.
	Key []byte
	// Quota is in bytes; 0 is unlimited.
	Quota int64
	// UsedBytes and UsedMessages count what the quota counts: the messages
	// in mailboxes, copies one by one.
	UsedBytes    int64
	UsedMessages uint64
	// ModSeq is the account's highest.
	ModSeq rookery.ModSeq
	// Created is unix nanoseconds of group time.
	Created int64
}

// Mailbox is a mailbox as a view shows it.
type Mailbox struct {
	ID   rookery.MailboxID
	Name string
	// Role is a SPECIAL-USE attribute (\Sent) or empty.
	Role        string
	UIDValidity rookery.UIDValidity
	UIDNext     rookery.UID
	Messages    uint32
	Unseen      uint32
	Deleted     uint32
	// Size is the sum of the messages' sizes (RFC 8438).
	Size          int64
	HighestModSeq rookery.ModSeq
	// Changed is the account's MODSEQ when the mailbox was last created or
	// renamed.
	Changed rookery.ModSeq
	// Keywords in the order of their first use. Shared: must not be changed.
	Keywords []string
	// Created is unix nanoseconds of group time.
	Created int64
}

// Row is one message in one mailbox.
type Row struct {
	UID    rookery.UID
	ModSeq rookery.ModSeq
	Email  rookery.EmailID
	Thread rookery.ThreadID
	Flags  Flags
	// Keywords is shared between rows: it must not be changed.
	Keywords []string
	// Size is RFC822.SIZE in bytes.
	Size int64
	// InternalDate and SaveDate are unix seconds.
	InternalDate int64
	SaveDate     int64
	// UIDL is an imported POP3 unique id; empty is the default.
	UIDL string
}

// Changes is what happened in a mailbox after a MODSEQ.
type Changes struct {
	// Rows are the messages new or changed, in order of MODSEQ.
	Rows []Row
	// Vanished are the UIDs expunged since, including ones never seen.
	Vanished UIDs
	// Complete says that Vanished is; else tombstones below are gone and the
	// caller compares its UIDs with the mailbox's.
	Complete bool
}

// Email is a message's content as an account holds it.
type Email struct {
	ID     rookery.EmailID
	Thread rookery.ThreadID
	// Size is the message's size in bytes as the client sees it.
	Size int64
	// Tokens lead later messages to the conversation.
	Tokens [][8]byte
	// Key is the message key, wrapped by the account's key.
	Key []byte
	// Extract is the sealed extract.
	Extract []byte
	// Body names the body in Group.
	Body  BodyID
	Group rookery.GroupID
}

// LogPiece is a part of a body inside a log entry.
type LogPiece struct {
	Index rookery.LogIndex
	Term  uint64
	// Off and Len are bytes within the entry's data.
	Off, Len int64
}

// PackPiece is a part of a body inside a pack.
type PackPiece struct {
	Pack     command.PackID
	Off, Len int64
}

// Body is an encoded body and where it lies. Both lists, where set, hold the
// whole body in order; the log may have dropped its entries once Pack is set.
type Body struct {
	ID BodyID
	// Size is the plain size, Encoded the bytes as stored.
	Size, Encoded int64
	Layout        []byte
	// Arrived is group time of the command that brought it to the cluster, unix
	// nanoseconds; a move to another group does not change it.
	Arrived int64
	Log     []LogPiece
	Pack    []PackPiece
}

// Expunged is an entry of the recoverable list.
type Expunged struct {
	command.ExpungedID
	// Mailbox and Name say where the message was.
	Mailbox rookery.MailboxID
	Name    string
	// Time is unix nanoseconds of group time.
	Time int64
	Row  Row
}

// Events hears what a command changed, after it is visible to views. Calls
// come from the one goroutine that applies: they must return at once.
type Events interface {
	// Changed says that a mailbox has changes up to modseq; mailbox 0 is the
	// account itself: its list of mailboxes, subscriptions or quota.
	Changed(account rookery.AccountID, mailbox rookery.MailboxID, modseq rookery.ModSeq)
	// Unpacked says that a body waits to be packed.
	Unpacked(body BodyID, bytes int64)
}
