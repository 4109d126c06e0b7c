package account

import (
	"context"
	"encoding/binary"
	"errors"

	"rookery"
	"rookery/storage/command"
)

// minted is what Ensure knows of a directory entry.
type minted struct {
	account rookery.AccountID
	quota   int64
}

// Ensure gives the account of a directory entry, minting it with INBOX and the
// role folders on first sight and applying a changed quota (bytes; 0 is no
// limit). It is idempotent under races on any nodes; once known it costs a map
// look-up. KindUnavailable: no quorum; KindInvalid: the key is empty or too
// long.
func (s *Store) Ensure(ctx context.Context, directoryKey string, quota int64) (rookery.AccountID, error) {
	for {
		m, ok := s.minted.Get(directoryKey)
		if ok && m.quota == quota {
			return m.account, nil
		}
		m, err := s.join(ctx, directoryKey, quota)
		if err != nil {
			return rookery.AccountID{}, rookery.E("ensure account", 0, err)
		}
		if m.quota == quota {
			return m.account, nil
		}
		// Joined a call for another quota: the directory has just changed.
	}
}

// join mints for all callers of the key that meet, under the ctx of the first.
// A caller whose own ctx ends leaves; one that waited for another whose ctx
// ended tries again itself.
func (s *Store) join(ctx context.Context, directoryKey string, quota int64) (minted, error) {
	for {
		first := false
		done := s.minting.DoChan(directoryKey, func() (any, error) {
			first = true
			return s.mint(ctx, directoryKey, quota)
		})
		select {
		case r := <-done:
			m, _ := r.Val.(minted)
			gaveUp := errors.Is(r.Err, context.Canceled) || errors.Is(r.Err, context.DeadlineExceeded)
			if first || !gaveUp {
				return m, r.Err
			}
		case <-ctx.Done():
		}
		if err := ctx.Err(); err != nil {
			return minted{}, err
		}
	}
}

func (s *Store) mint(ctx context.Context, directoryKey string, quota int64) (minted, error) {
	var m minted
	err := s.Patiently(ctx, func() error {
		account, group, err := s.place(ctx, directoryKey)
		if err != nil {
			return err
		}
		m = minted{account, quota}
		return s.settle(ctx, account, group, quota)
	})
	if err != nil {
		return minted{}, err
	}
	s.minted.Add(directoryKey, m)
	return m, nil
}

// place finds or makes the entry's row in the account map. Whoever proposes
// first wins; the others get the winner's answer.
func (s *Store) place(ctx context.Context, directoryKey string) (rookery.AccountID, rookery.GroupID, error) {
	p, err := s.o.System.ByKey(directoryKey)
	if err == nil {
		return p.Account, p.Group, nil
	}
	if !rookery.Is(err, rookery.KindNotFound) {
		return p.Account, 0, err
	}
	id := rookery.NewAccountID()
	groups := s.o.Groups()
	r, _, err := s.apply(ctx, rookery.SystemGroup, &command.EnsureAccount{DirectoryKey: directoryKey, Account: id,
		Group: groups[binary.BigEndian.Uint32(id[:])%uint32(len(groups))]})
	if err != nil {
		return id, 0, err
	}
	e := r.(*command.EnsureResult)
	return e.Account, e.Group, nil
}

// settle sees to it that the account exists in its group with this quota.
func (s *Store) settle(ctx context.Context, id rookery.AccountID, group rookery.GroupID, quota int64) error {
	known, err := s.facts(ctx, group, id)
	if err == nil && known.Quota == quota {
		return nil
	}
	if rookery.Is(err, rookery.KindNotFound) {
		created, err := s.create(ctx, id, group, quota)
		if err != nil || created {
			return err
		}
		if known, err = s.facts(ctx, group, id); err == nil && known.Quota == quota {
			return nil
		}
	} else if err != nil {
		return err
	}
	_, _, err = s.apply(ctx, group, &command.SetQuota{Account: id, Quota: quota})
	return err
}

func (s *Store) create(ctx context.Context, id rookery.AccountID, group rookery.GroupID, quota int64) (bool, error) {
	_, wrapped, err := s.o.Keys.NewAccountKey(id)
	if err != nil {
		return false, err
	}
	r, _, err := s.apply(ctx, group, &command.CreateAccount{Account: id, Key: wrapped, Quota: quota,
		Roles: command.DefaultRoles(), Validity: s.validity(0)})
	if err != nil {
		return false, err
	}
	created := r.(*command.AccountResult).Created
	if created {
		s.o.Logger.Info("account created", "account", id.String(), "group", group)
	}
	return created, nil
}
