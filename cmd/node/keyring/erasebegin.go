package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"rookery"
	"rookery/storage/command"
)

// Erase begins the erasure of accounts named by id or address, all or
// none of them.
func (s *Service) Erase(ctx context.Context, who []string) (ids []rookery.AccountID, err error) {
	const op = "erase accounts"
	if len(who) == 0 || len(who) > command.MaxErase {
		return nil, rookery.E(op, rookery.KindInvalid, fmt.Errorf("%d accounts at once; name 1 to %d", len(who), command.MaxErase))
	}
	if err := s.bringUpToNow(ctx); err != nil {
		return nil, err
	}
	for _, w := range who {
		id, err := s.findAccount(ctx, w)
		if err != nil {
			return nil, rookery.E(op, 0, fmt.Errorf("%s: %w; nothing was begun", w, err))
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	_, index, err := s.replicas.Propose(ctx, rookery.SystemGroup, &command.EraseAccounts{Accounts: ids})
	if err != nil {
		return nil, err
	}
	s.o.Logger.Warn("the erasure of accounts begins", "accounts", len(ids))
	return ids, s.replicas.Wait(ctx, rookery.SystemGroup, index)
}

// findAccount is an account named by its id or by an address of its owner.
func (s *Service) findAccount(ctx context.Context, who string) (id rookery.AccountID, err error) {
	const op = "find account"
	if id, err := rookery.ParseAccountID(who); err == nil {
		return id, nil
	}
	address, err := rookery.ParseAddress(who)
	if err != nil {
		return id, rookery.E(op, rookery.KindInvalid, fmt.Errorf("%q is neither an address nor an account id", who))
	}
	entry, err := s.o.Directory.Recipient(ctx, address)
	if err != nil {
		return id, err
	}
	if err := s.replicas.Barrier(ctx, rookery.SystemGroup); err != nil {
		return id, err
	}
	p, err := s.system.ByKey(entry.Key)
	if rookery.Is(err, rookery.KindNotFound) {
		return id, rookery.E(op, rookery.KindNotFound, fmt.Errorf("%s is in the directory and has no account yet", who))
	}
	if p.Account != (rookery.AccountID{}) {
		return p.Account, nil // also one that is being erased
	}
	return id, errors.Join(err)
}
