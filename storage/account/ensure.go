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
	owner   rookery.Owner // as the caller saw it
	quota   int64
}

func (m minted) is(owner rookery.Owner, quota int64) bool {
	return m.quota == quota && m.owner.Equal(owner)
}

// Ensure gives the account of a directory entry, minting it with INBOX and the
// role folders on first sight, applying a changed quota (bytes; 0 is no limit)
// and remembering the entry's login and addresses. It is idempotent under races
// on any nodes; once known it costs a map look-up. KindUnavailable: no quorum,
// or another account's entry has one of the addresses or had it when it went:
// none is minted. KindInvalid: the key is empty or too long.
func (s *Store) Ensure(ctx context.Context, owner rookery.Owner, quota int64) (rookery.AccountID, error) {
	for {
		m, ok := s.minted.Get(owner.Key)
		if ok && m.is(owner, quota) {
			return m.account, nil
		}
		m, err := s.join(ctx, owner, quota)
		if err != nil {
			return rookery.AccountID{}, rookery.E("ensure account", 0, err)
		}
		if m.is(owner, quota) {
			return m.account, nil
		}
		// Joined a call for another quota or name: the directory has just changed.
	}
}

// join mints for all callers of the key that meet, under the ctx of the first.
// A caller whose own ctx ends leaves; one that waited for another whose ctx
// ended tries again itself.
func (s *Store) join(ctx context.Context, owner rookery.Owner, quota int64) (minted, error) {
	for {
		first := false
		done := s.minting.DoChan(owner.Key, func() (any, error) {
			first = true
			return s.mint(ctx, owner, quota)
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

func (s *Store) mint(ctx context.Context, owner rookery.Owner, quota int64) (minted, error) {
	var m minted
	err := s.Patiently(ctx, func() error {
		account, group, err := s.place(ctx, owner)
		if err != nil {
			return err
		}
		m = minted{account, owner, quota}
		return s.settle(ctx, account, group, quota)
	})
	if err != nil {
		return minted{}, err
	}
	if s.note(ctx, m.account, owner) {
		s.minted.Add(owner.Key, m)
		// The entry may have been linked to another account since the map was
		// read, and Linked been called before the Add.
		if p, err := s.o.System.ByKey(owner.Key); err != nil || p.Account != m.account {
			s.minted.Remove(owner.Key)
		}
	}
	return m, nil
}

// place finds or makes the entry's row in the account map. Whoever proposes
// first wins; the others get the winner's answer.
func (s *Store) place(ctx context.Context, owner rookery.Owner) (rookery.AccountID, rookery.GroupID, error) {
	p, err := s.o.System.ByKey(owner.Key)
	if err == nil {
		return p.Account, p.Group, nil
	}
	if !rookery.Is(err, rookery.KindNotFound) {
		return p.Account, 0, err
	}
	id := rookery.NewAccountID()
	groups := s.o.Groups()
	c := &command.EnsureAccount{DirectoryKey: owner.Key, Account: id, Login: owner.Login, Addresses: owner.Addresses, DN: owner.DN,
		Group: groups[binary.BigEndian.Uint32(id[:])%uint32(len(groups))]}
	for range tries {
		if err := s.free(ctx, owner); err != nil {
			return id, 0, err
		}
		r, _, err := s.apply(ctx, rookery.SystemGroup, c)
		if err != nil {
			return id, 0, err
		}
		if e := r.(*command.EnsureResult); e.Holder == (rookery.AccountID{}) {
			return e.Account, e.Group, nil
		}
		// This node had not heard yet of the account that holds an address.
		if err := s.o.Log.Barrier(ctx, rookery.SystemGroup); err != nil {
			return id, 0, err
		}
	}
	return id, 0, rookery.E("make account", rookery.KindUnavailable, errors.New("its addresses change hands; try again"))
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
