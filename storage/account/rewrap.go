package account

import (
	"context"
	"errors"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/mailbox"
)

// RewrapAccounts wraps the account keys of a group that are under an older
// tenant key anew under the one in use, in bounded batches, and returns how
// many it did. It passes a barrier first: what it reads is no older than the
// call, so it never wraps the key of an account that was erased before.
// Accounts whose key does not open are left, and named in the error.
func (s *Store) RewrapAccounts(ctx context.Context, group rookery.GroupID) (done int, err error) {
	const op = "rewrap account keys"
	m := s.o.Machine(group)
	if m == nil {
		return 0, rookery.E(op, rookery.KindUnavailable, errAway)
	}
	target := s.o.Keys.Current()
	if err := s.o.Log.Barrier(ctx, group); err != nil {
		return 0, rookery.E(op, 0, err)
	}
	var bad error
	for after := (rookery.AccountID{}); ; {
		accounts, err := m.Accounts(after, command.MaxRewrap)
		if err != nil {
			return done, rookery.E(op, 0, err)
		}
		c := &command.RewrapAccounts{}
		for _, a := range accounts {
			after = a.ID
			if err := s.rewrapAccount(ctx, a, target, c); err != nil {
				bad = errors.Join(bad, err)
			}
		}
		if len(c.Accounts) > 0 {
			r, _, err := s.apply(ctx, group, c)
			if err != nil {
				return done, err
			}
			done += int(r.(*command.RewrapResult).Done)
		}
		if len(accounts) < command.MaxRewrap {
			return done, bad
		}
	}
}

func (s *Store) rewrapAccount(ctx context.Context, a mailbox.Account, target uint32, c *command.RewrapAccounts) error {
	if keys.WrappedUnder(a.Key) >= target {
		return nil
	}
	next, err := s.o.Keys.Rewrap(a.ID, a.Key)
	if rookery.Is(err, rookery.KindUnavailable) && s.o.Fetch != nil && s.o.Fetch(ctx) == nil {
		next, err = s.o.Keys.Rewrap(a.ID, a.Key)
	}
	if err == nil {
		c.Accounts = append(c.Accounts, command.Rewrapped{Account: a.ID, Old: a.Key, New: next})
	}
	return err
}
