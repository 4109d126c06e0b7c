package account

import (
	"bytes"
	"context"

	"rookery"
	"rookery/storage/keys"
	"rookery/storage/mailbox"
)

// opened is an account's key in memory, with the wrap it was opened from.
type opened struct {
	key *keys.AccountKey
	as  []byte
	// seen is Store.changes when the wrap was read.
	seen uint64
}

// Key is the account's key, unwrapped once and kept with the handle until some
// account's key changes. KindNotFound: no such account here. KindUnavailable:
// its tenant key is not in this node's keyring. KindDamaged: the key does not
// open.
func (a *Account) Key(ctx context.Context) (*keys.AccountKey, error) {
	changes := a.store.changes.Load() // before the wrap is read
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
	if o.key == nil || !bytes.Equal(o.as, f.Key) {
		if o.key, err = a.store.openKey(ctx, a.id, f.Key); err != nil {
			return nil, rookery.E("open account key", 0, err)
		}
	}
	o.as, o.seen = f.Key, changes
	a.mu.Lock()
	a.opened = o
	a.mu.Unlock()
	return o.key, nil
}

// openKey unwraps a key, after fetching the tenant key where this node lacks it
// and there is somebody to ask.
func (s *Store) openKey(ctx context.Context, id rookery.AccountID, wrapped []byte) (*keys.AccountKey, error) {
	key, err := s.o.Keys.OpenAccount(id, wrapped)
	if !rookery.Is(err, rookery.KindUnavailable) || s.o.Fetch == nil {
		return key, err
	}
	if ferr := s.o.Fetch(ctx); ferr != nil {
		s.o.Logger.Warn("a tenant key is missing here and cannot be fetched", "error", ferr)
		return nil, err
	}
	return s.o.Keys.OpenAccount(id, wrapped)
}

// KeysChanged says that the key of some account is wrapped otherwise or gone:
// every handle reads its own anew before it is used again.
func (s *Store) KeysChanged() { s.changes.Add(1) }

// messageKey opens a message's key.
func (a *Account) messageKey(ctx context.Context, e mailbox.Email) (keys.MessageKey, error) {
	key, err := a.Key(ctx)
	if err != nil {
		return keys.MessageKey{}, err
	}
	return key.UnwrapMessage(e.ID, e.Key)
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
