package account

import (
	"context"
	"errors"
	"fmt"

	"rookery"
	"rookery/storage/body"
	"rookery/storage/keys"
	"rookery/storage/mailbox"
	"rookery/storage/message"
)

// Extract opens what was extracted from a message at delivery: header block,
// envelope, structure, preview. KindDamaged: it fails its checks. Only a large
// one (over body.MaxInlineExtract) is read from where the body lies, with the
// errors of Body.
func (a *Account) Extract(ctx context.Context, e mailbox.Email) (*message.Extract, error) {
	key, err := a.messageKey(ctx, e)
	if err != nil {
		return nil, err
	}
	if len(e.Extract) > 0 {
		return body.Open(e.Extract, key)
	}
	r, err := a.reader(ctx, nil, e, key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return r.Extract(ctx)
}

// Header is Extract for readers of the header block only: of an extract kept in
// the state, no more is opened than body.OpenHeader gives, unless the block is
// longer than what was kept of it.
func (a *Account) Header(ctx context.Context, e mailbox.Email) (*message.Extract, error) {
	if len(e.Extract) == 0 {
		return a.Extract(ctx, e)
	}
	key, err := a.messageKey(ctx, e)
	if err != nil {
		return nil, err
	}
	x, err := body.OpenHeader(e.Extract, key)
	if err == nil && x.HeaderTruncated {
		return body.Open(e.Extract, key)
	}
	return x, err
}

// Body opens the whole message for reading by ranges: from the log, else the
// cache, else the object store. The view (nil: the newest state) is needed only
// during the call; the reader stays valid after the view is closed, also when
// the message is expunged meanwhile. KindUnavailable, when reading: the store
// holding it does not answer.
func (a *Account) Body(ctx context.Context, v *mailbox.View, e mailbox.Email) (*body.Reader, error) {
	key, err := a.messageKey(ctx, e)
	if err != nil {
		return nil, err
	}
	return a.reader(ctx, v, e, key)
}

func (a *Account) reader(ctx context.Context, v *mailbox.View, e mailbox.Email, key keys.MessageKey) (*body.Reader, error) {
	group := e.Group
	b, err := a.bodyIn(v, e)
	if rookery.Is(err, rookery.KindNotFound) || errors.Is(err, errAway) {
		if a.refresh(); a.Group() != group { // the account has moved since e was read
			b, group, err = a.bodyNow(e.ID)
		}
	}
	if err != nil {
		return nil, err
	}
	return a.open(b, key, a.store.o.Bodies.Open(group, b))
}

// open makes the reader of a body that a source gives.
func (a *Account) open(b mailbox.Body, key keys.MessageKey, source body.Source) (*body.Reader, error) {
	var layout body.Layout
	if err := layout.UnmarshalBinary(b.Layout); err != nil {
		return nil, err
	}
	if n := layout.EncodedSize(); n != b.Encoded {
		return nil, rookery.E("open body", rookery.KindDamaged,
			fmt.Errorf("body %d of account %s has %d bytes, its layout says %d", b.ID, a.id, b.Encoded, n))
	}
	return body.NewReader(layout, key, source), nil
}

// Verify reads a body from a source, with the key of one of its emails, and
// checks it to the last byte: KindDamaged says that it is not what was
// delivered.
func (a *Account) Verify(ctx context.Context, b mailbox.Body, email rookery.EmailID, wrapped []byte, source body.Source) error {
	key, err := a.messageKey(ctx, mailbox.Email{ID: email, Key: wrapped})
	if err != nil {
		return err
	}
	r, err := a.open(b, key, source)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := r.Verify(ctx); err != nil || !r.HoldsExtract() {
		return err
	}
	_, err = r.Extract(ctx)
	return err
}

// openAccount finds the account's group. A node may not have seen the account
// yet, so it asks again behind a barrier before it says no.
func (s *Store) openAccount(ctx context.Context, id rookery.AccountID) (*Account, error) {
	if a, ok := s.open.Get(id); ok {
		a.refresh()
		return a, nil
	}
	place, err := s.o.System.Account(id)
	if rookery.Is(err, rookery.KindNotFound) {
		if err := s.o.Log.Barrier(ctx, rookery.SystemGroup); err != nil {
			return nil, rookery.E("open account", 0, err)
		}
		place, err = s.o.System.Account(id)
	}
	if err != nil {
		return nil, rookery.E("open account", 0, err)
	}
	a := &Account{store: s, id: id, group: place.Group}
	if known, ok, _ := s.open.PeekOrAdd(id, a); ok {
		return known, nil // one handle, one copy of the key
	}
	return a, nil
}

// Group is the group an account lives in, KindNotFound as in Open. It works on
// every node.
func (s *Store) Group(ctx context.Context, id rookery.AccountID) (rookery.GroupID, error) {
	place, err := s.o.System.Account(id)
	if rookery.Is(err, rookery.KindNotFound) {
		if err := s.o.Log.Barrier(ctx, rookery.SystemGroup); err != nil {
			return 0, rookery.E("find account", 0, err)
		}
		place, err = s.o.System.Account(id)
	}
	return place.Group, err
}
