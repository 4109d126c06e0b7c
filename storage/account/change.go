package account

import (
	"context"

	"rookery"
	"rookery/storage/command"
)

// The methods of this file change the account. Each returns when a quorum has
// agreed and this node has applied the change, so that the next View shows it.
// The command's Account field is filled in here. The LogIndex is where the
// (last) command lies in the group's log. Errors carry the machine's kind
// (KindNotFound no such mailbox, KindExists, KindOverQuota, KindInvalid,
// KindLimit, KindConflict) or the road's (KindUnavailable, KindUnknown).

// Apply has the group agree on any command and returns the machine's answer:
// the payload that the command package's Decode…Result functions read.
func (a *Account) Apply(ctx context.Context, c command.Command) ([]byte, rookery.LogIndex, error) {
	return a.store.apply(ctx, a.group, c)
}

// CreateMailbox makes a mailbox with its parents, as the machine sees fit.
func (a *Account) CreateMailbox(ctx context.Context, c command.CreateMailbox) (command.CreateMailboxResult, rookery.LogIndex, error) {
	panic("account: not yet")
}

// DeleteMailbox removes a mailbox; its messages become recoverable.
func (a *Account) DeleteMailbox(ctx context.Context, c command.DeleteMailbox) (rookery.LogIndex, error) {
	panic("account: not yet")
}

// RenameMailbox renames a mailbox and all below it.
func (a *Account) RenameMailbox(ctx context.Context, c command.RenameMailbox) (rookery.LogIndex, error) {
	panic("account: not yet")
}

// Subscribe sets or clears a subscription by name.
func (a *Account) Subscribe(ctx context.Context, c command.Subscribe) (rookery.LogIndex, error) {
	panic("account: not yet")
}

// StoreFlags changes flags, in commands of at most 1,000 UIDs. The result is
// merged: Modified of all, the last ModSeq. When it fails part-way the result
// tells what was done before the error.
func (a *Account) StoreFlags(ctx context.Context, c command.StoreFlags) (command.StoreResult, rookery.LogIndex, error) {
	panic("account: not yet")
}

// Expunge removes messages, in commands of at most 1,000 UIDs; nil UIDs means
// all with \Deleted. Part-way failure as in StoreFlags.
func (a *Account) Expunge(ctx context.Context, c command.Expunge) (command.ExpungeResult, rookery.LogIndex, error) {
	panic("account: not yet")
}

// Copy copies messages in ONE command, because RFC 9051 6.4.7 wants COPY all or
// nothing; more than MaxCopy existing messages are refused with KindLimit.
func (a *Account) Copy(ctx context.Context, c command.Copy) (command.CopyResult, rookery.LogIndex, error) {
	panic("account: not yet")
}

// Move moves messages, in commands of at most 1,000 UIDs: each message is
// moved whole (RFC 6851 3.3 asks no more), and results are merged.
func (a *Account) Move(ctx context.Context, c command.Move) (command.CopyResult, rookery.LogIndex, error) {
	panic("account: not yet")
}
