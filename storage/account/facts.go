package account

import (
	"context"

	"rookery"
	"rookery/storage/mailbox"
)

// Facts are what delivery needs to know of an account, wherever it is.
type Facts struct {
	// Key is the account key, wrapped by a tenant key.
	Key []byte `cbor:"1,keyasint"`
	// Quota and Used are in bytes; a quota of 0 is no limit.
	Quota int64 `cbor:"2,keyasint"`
	Used  int64 `cbor:"3,keyasint"`
	// Messages are those in its mailboxes.
	Messages uint64 `cbor:"4,keyasint,omitempty"`
}

// FactsOf are the facts in an account's record.
func FactsOf(x mailbox.Account) Facts {
	return Facts{Key: x.Key, Quota: x.Quota, Used: x.UsedBytes, Messages: x.UsedMessages}
}

// Facts reads an account's facts from the replica here, else from a node that
// has one. KindNotFound: it does not exist as far as the group knows here, or
// for certain where another node was asked. KindUnavailable: no replica
// answers.
func (a *Account) Facts(ctx context.Context) (Facts, error) {
	var f Facts
	err := a.following(ctx, moveWait, func(group rookery.GroupID) (err error) {
		f, err = a.store.facts(ctx, group, a.id)
		return err
	})
	return f, err
}

func (s *Store) facts(ctx context.Context, group rookery.GroupID, id rookery.AccountID) (Facts, error) {
	m := s.o.Machine(group)
	if m == nil {
		if s.o.Remote == nil {
			return Facts{}, errAway
		}
		return s.o.Remote(ctx, group, id)
	}
	v, err := m.View(id)
	if err != nil {
		return Facts{}, err
	}
	defer v.Close()
	return FactsOf(v.Account()), nil
}
