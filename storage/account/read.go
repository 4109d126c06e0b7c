package account

import (
	"context"

	"rookery"
	"rookery/storage/body"
	"rookery/storage/mailbox"
)

// Key is the account's key, unwrapped and kept in memory.
func (a *Account) Key(ctx context.Context) (*body.AccountKey, error) {
	panic("account: not yet")
}

// Extract opens what was extracted from a message at delivery: header block,
// envelope, structure, preview. KindDamaged: it fails its checks.
func (a *Account) Extract(ctx context.Context, e mailbox.Email) (*body.Extract, error) {
	panic("account: not yet")
}

// Body opens the whole message for reading by ranges: from the log, else the
// cache, else the object store. The view is needed only during the call; the
// reader stays valid after it is closed. KindUnavailable: the store holding it
// does not answer.
func (a *Account) Body(ctx context.Context, v *mailbox.View, e mailbox.Email) (*body.Reader, error) {
	panic("account: not yet")
}

// Ensure gives the account of a directory entry, minting it with INBOX and the
// role folders on first sight and applying a changed quota (bytes; 0 is no
// limit). It is idempotent under races on any nodes; once known it costs a map
// look-up.
func (s *Store) Ensure(ctx context.Context, directoryKey string, quota int64) (rookery.AccountID, error) {
	panic("account: not yet")
}
