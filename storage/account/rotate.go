package account

import (
	"context"
	"errors"
	"fmt"

	"rookery"
	"rookery/storage/body"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// The steps of this file change keys, never bodies. Each is one bounded
// command, goes on from what the state says and may be repeated by anybody.

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
		accounts, err := m.Accounts(after, command.MaxRewrap/2) // two keys each at most
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
		if len(accounts) < command.MaxRewrap/2 {
			return done, bad
		}
	}
}

func (s *Store) rewrapAccount(ctx context.Context, a mailbox.Account, target uint32, c *command.RewrapAccounts) error {
	for _, old := range [][]byte{a.Key, a.Old} {
		if len(old) == 0 || body.WrappedUnder(old) >= target {
			continue
		}
		next, err := s.o.Keys.Rewrap(a.ID, old)
		if rookery.Is(err, rookery.KindUnavailable) && s.o.Fetch != nil && s.o.Fetch(ctx) == nil {
			next, err = s.o.Keys.Rewrap(a.ID, old)
		}
		if err != nil {
			return err
		}
		c.Accounts = append(c.Accounts, command.Rewrapped{Account: a.ID, Old: old, New: next})
	}
	return nil
}

// RotateKey gives the account a new key. RewrapMessages and DropOldKey follow;
// all messages can be read meanwhile. KindConflict: it is being rotated
// already.
func (a *Account) RotateKey(ctx context.Context) error {
	const op = "rotate account key"
	f, err := a.Facts(ctx)
	if err != nil {
		return rookery.E(op, 0, err)
	}
	next, err := a.store.o.Keys.NextAccountKey(a.id, f.Key)
	if err != nil {
		return rookery.E(op, 0, err)
	}
	_, _, err = a.Apply(ctx, &command.RotateAccountKey{Account: a.id, Old: f.Key, New: next})
	return err
}

// RewrapMessages wraps the keys of the account's next messages anew under its
// newest key, in one command, and reports whether there are more. Only a node
// with a replica can. KindConflict: another node was faster.
func (a *Account) RewrapMessages(ctx context.Context) (more bool, err error) {
	const op = "rewrap messages"
	m, err := a.machine()
	if err != nil {
		return false, err
	}
	keys, err := m.Keys(a.id)
	if err != nil || len(keys.Old) == 0 || keys.Rewrapped == command.LastEmail {
		return false, err
	}
	key, err := a.Key(ctx)
	if err == nil && key.Generation() != keys.Generation {
		key, err = a.Rekey(ctx)
	}
	if err != nil {
		return false, rookery.E(op, 0, err)
	}
	messages, err := m.MessageKeys(a.id, keys.Rewrapped, command.MaxBatch)
	if err != nil {
		return false, err
	}
	c := &command.RewrapMessages{Account: a.id, After: keys.Rewrapped, Last: command.LastEmail}
	if more = len(messages) == command.MaxBatch; more {
		c.Last = messages[len(messages)-1].Email
	}
	for _, x := range messages {
		if body.MessageKeyGeneration(x.Key) == keys.Generation {
			continue
		}
		if x.Key, err = key.Rewrap(x.Email, x.Key); err != nil {
			return false, rookery.E(op, rookery.KindDamaged, fmt.Errorf("account %s keeps its old key: %w", a.id, err))
		}
		c.Keys = append(c.Keys, x)
	}
	_, _, err = a.Apply(ctx, c)
	return more, err
}

// Rotating is the generation of the key that takes over from another, as this
// node knows it; 0 when none does. Rewrapped is that all messages are.
func (a *Account) Rotating() (generation uint32, rewrapped bool, err error) {
	m, err := a.machine()
	if err != nil {
		return 0, false, err
	}
	keys, err := m.Keys(a.id)
	if err != nil || len(keys.Old) == 0 {
		return 0, false, err
	}
	return keys.Generation, keys.Rewrapped == command.LastEmail, nil
}

// DropOldKey ends a rotation to a generation. The caller knows that no message
// under the old key is on its way or owed to the account any more.
func (a *Account) DropOldKey(ctx context.Context, generation uint32) error {
	if generation == 0 {
		return rookery.E("drop account key", rookery.KindInvalid, errors.New("generation 0 follows none"))
	}
	_, _, err := a.Apply(ctx, &command.DropAccountKey{Account: a.id, Generation: generation})
	return err
}
