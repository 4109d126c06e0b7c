package account

import (
	"bytes"
	"context"

	"rookery"
	"rookery/storage/body"
	"rookery/storage/mailbox"
)

// opened is an account's key in memory, with the wraps it was opened from.
type opened struct {
	key *body.AccountKey
	as  body.AccountKeys
	// seen is Store.changes when the wraps were read.
	seen uint64
}

func (o *opened) fits(k body.AccountKeys) bool {
	return o.key != nil && o.as.Generation == k.Generation && bytes.Equal(o.as.Key, k.Key) && bytes.Equal(o.as.Old, k.Old)
}

// Key is the account's key, unwrapped once and kept with the handle until some
// account's key changes. KindNotFound: no such account here. KindUnavailable:
// its tenant key is not in this node's keyring. KindDamaged: the key does not
// open.
func (a *Account) Key(ctx context.Context) (*body.AccountKey, error) {
	changes := a.store.changes.Load() // before the wraps are read
	a.mu.Lock()
	o := a.opened
	a.mu.Unlock()
	if o.key != nil && o.seen == changes {
		return o.key, nil
	}
	f, err := a.Facts(ctx)
	if err != nil {
		return nil, err
	}
	wrapped := f.keys()
	if !o.fits(wrapped) {
		if o.key, err = a.store.openKeys(ctx, a.id, wrapped); err != nil {
			return nil, rookery.E("open account key", 0, err)
		}
	}
	o.as, o.seen = wrapped, changes
	a.mu.Lock()
	a.opened = o
	a.mu.Unlock()
	return o.key, nil
}

// openKeys unwraps keys, after fetching the tenant key where this node lacks
// it and there is somebody to ask.
func (s *Store) openKeys(ctx context.Context, id rookery.AccountID, w body.AccountKeys) (*body.AccountKey, error) {
	key, err := s.o.Keys.OpenKeys(id, w)
	if !rookery.Is(err, rookery.KindUnavailable) || s.o.Fetch == nil {
		return key, err
	}
	if ferr := s.o.Fetch(ctx); ferr != nil {
		s.o.Logger.Warn("a tenant key is missing here and cannot be fetched", "error", ferr)
		return nil, err
	}
	return s.o.Keys.OpenKeys(id, w)
}

// Rekey is Key read anew: a message came wrapped by another one.
func (a *Account) Rekey(ctx context.Context) (*body.AccountKey, error) {
	a.mu.Lock()
	a.opened.seen = ^uint64(0)
	a.mu.Unlock()
	return a.Key(ctx)
}

// KeysChanged says that the key of some account is another one or gone: every
// handle reads its own anew before it is used again.
func (s *Store) KeysChanged() { s.changes.Add(1) }

// messageKey opens a message's key. While the account's key is rotated, the
// message may have been read before and the key after a step of it.
func (a *Account) messageKey(ctx context.Context, e mailbox.Email) (body.MessageKey, error) {
	key, err := a.Key(ctx)
	if err != nil {
		return body.MessageKey{}, err
	}
	mk, err := key.UnwrapMessage(e.ID, e.Key)
	if err == nil || body.MessageKeyGeneration(e.Key) == key.Generation() {
		return mk, err
	}
	v, verr := a.View()
	if verr != nil {
		return mk, err
	}
	now, verr := v.Email(e.ID)
	v.Close()
	if verr != nil {
		return mk, err
	}
	if key, err = a.Rekey(ctx); err != nil {
		return mk, err
	}
	return key.UnwrapMessage(e.ID, now.Key)
}

// Forget drops what is kept in memory of an account: it was erased.
func (s *Store) Forget(id rookery.AccountID) {
	if a, ok := s.open.Peek(id); ok {
		a.mu.Lock()
		a.opened = opened{}
		a.mu.Unlock()
	}
	s.open.Remove(id)
	for _, key := range s.minted.Keys() {
		if m, ok := s.minted.Peek(key); ok && m.account == id {
			s.minted.Remove(key)
		}
	}
	s.KeysChanged()
}
