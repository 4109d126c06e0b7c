package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"rookery"
	"rookery/cmd/node/replicas"
	"rookery/storage/command"
	"rookery/storage/system"
)

// Erasing accounts is the system leader's work, and all of it is in the state:
// bar them in their groups, bring a new tenant key into use, wait until all
// other account keys are wrapped under it, destroy the older ones on every
// node, and take the accounts off the map. However many are erased together,
// it costs one rotation. Every step may be repeated; where one cannot be done,
// nothing is given up, and it is tried again.

// eraseEvery is how often an erasure that waits is tried again.
const eraseEvery = 2 * time.Second

// finishErasures finishes the erasures that were begun, where this node leads the
// system group.
func (s *Service) finishErasures(ctx context.Context) {
	s.replicas.Follow(ctx, eraseEvery, func() {
		if !s.replicas.Leads(rookery.SystemGroup) {
			return
		}
		if err := s.erase(ctx); err != nil && ctx.Err() == nil {
			s.progress.say("%v", err)
			s.o.Logger.Info("an erasure waits; trying again", "error", err)
		}
	}, replicas.TopicKeys)
}

// erase takes all erasures as far as they go.
func (s *Service) erase(ctx context.Context) error {
	all, err := s.system.Erasures()
	if err != nil || len(all) == 0 {
		return err
	}
	if err := s.bringUpToNow(ctx); err != nil {
		return err
	}
	if all, err = s.barAll(ctx); err != nil {
		return err
	}
	records, err := s.system.TenantKeys()
	if err != nil {
		return err
	}
	use := system.InUse(records).Version
	if slices.ContainsFunc(all, func(e system.Erasure) bool { return e.Under >= use }) {
		s.progress.say("%d accounts are barred; a new tenant key is made", len(all))
		r, err := s.Rotate(ctx)
		if err != nil {
			return err
		}
		use = r.Version
	}
	s.progress.say("tenant key %d is in use; the keys of all other accounts are rewrapped under it", use)
	if _, err := s.Destroy(ctx); err != nil {
		return err
	}
	for _, e := range all {
		// Accounts that were barred since wait for the next round.
		if e.Under < use {
			if _, err := s.replicas.ProposeSystem(ctx, &command.ForgetAccount{Account: e.Account}); err != nil {
				return err
			}
			s.o.Logger.Info("an account is erased", "account", e.Account, "began", time.Unix(0, e.Since).UTC())
		}
	}
	s.progress.say("%d accounts are erased", len(all))
	return nil
}

// barAll erases accounts in their groups, waits until these hold nothing of
// them, cancels in all groups what they wanted to go later and what is held of
// theirs, and records it.
func (s *Service) barAll(ctx context.Context) ([]system.Erasure, error) {
	all, err := s.system.Erasures()
	if err != nil {
		return nil, err
	}
	var barred []rookery.AccountID
	for _, e := range all {
		if e.Barred {
			continue
		}
		p, err := s.system.Account(e.Account)
		if p.Account != e.Account {
			return nil, errors.Join(err, rookery.E("erase account", rookery.KindNotFound, fmt.Errorf("account %s is not in the map", e.Account)))
		}
		s.progress.say("account %s is erased in group %d", e.Account, p.Group)
		if err := s.replicas.Commit(ctx, p.Group, &command.BarAccount{Account: e.Account}); err != nil {
			return nil, err
		}
		if err := s.removeRest(ctx, p.Group, e.Account); err != nil {
			return nil, err
		}
		barred = append(barred, e.Account)
	}
	for len(barred) > 0 {
		some := barred[:min(len(barred), command.MaxErase)]
		barred = barred[len(some):]
		n, err := s.o.Cancel(ctx, some) // they send no more by now
		if err != nil {
			return nil, err
		}
		s.o.Logger.Info("mail of erased accounts that was scheduled or held is cancelled", "accounts", len(some), "recipients", n)
		if _, err := s.replicas.ProposeSystem(ctx, &command.AccountsErased{Accounts: some}); err != nil {
			return nil, err
		}
	}
	if err := s.replicas.Barrier(ctx, rookery.SystemGroup); err != nil {
		return nil, err
	}
	return s.system.Erasures()
}

// removeRest has a group remove what an erased account left in it.
func (s *Service) removeRest(ctx context.Context, id rookery.GroupID, a rookery.AccountID) error {
	return s.o.Accounts.Purge(ctx, id, a, 1) // nothing was expunged then
}
