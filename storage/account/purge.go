package account

import (
	"context"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/propose"
)

// Purge removes what an account expunged before a time, and what its deleted
// mailboxes, or the account where it was erased, left.
func (s *Store) Purge(ctx context.Context, group rookery.GroupID, id rookery.AccountID, before int64) error {
	for {
		r, _, err := propose.As[*command.PurgeResult](ctx, s.o.Log, group, &command.PurgeExpunged{Account: id, Before: before})
		if err != nil || !r.More {
			return err
		}
	}
}
