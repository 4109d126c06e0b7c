package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/system"
)

// Erasing accounts is the system leader's work, and all of it is in the state:
// bar them in their groups, bring a new tenant key into use, wait until all
// other account keys are wrapped under it, destroy the older ones on every
// node, and take the accounts off the map. However many are erased together,
// it costs one rotation. Every step may be repeated; where one cannot be done,
// nothing is given up, and it is tried again.

// progress is what holds an erasure up, or how far it is, for operators.
type progress struct {
	mu   sync.Mutex
	text string
}

func (p *progress) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = fmt.Sprintf(format, args...)
}

func (p *progress) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text
}

// Keys implements system.KeyEvents.
func (n *Node) Keys(erasing []rookery.AccountID) {
	if a := n.bodies.accounts.Load(); a != nil {
		for _, id := range erasing {
			a.Forget(id)
		}
	}
	n.topics.publish(topicKeys, topicAccountKeys)
}

// KeyChanged implements mailbox.KeyEvents.
func (e mailEvents) KeyChanged(id rookery.AccountID) {
	if a := e.node.bodies.accounts.Load(); a != nil {
		a.KeysChanged()
	}
}

// eraseEvery is how often an erasure that waits is tried again.
const eraseEvery = 2 * time.Second

// eraseJob finishes the erasures that were begun, where this node leads the
// system group.
func (n *Node) eraseJob(ctx context.Context) error {
	return n.topics.follow(ctx, eraseEvery, func() {
		if !n.groups.Leads(rookery.SystemGroup) {
			return
		}
		if err := n.erase(ctx); err != nil && ctx.Err() == nil {
			n.eraseProgress.say("%v", err)
			n.deps.Logger.Info("an erasure waits; trying again", "error", err)
		}
	}, topicKeys)
}

// erase takes all erasures as far as they go.
func (n *Node) erase(ctx context.Context) error {
	all, err := n.system.Erasures()
	if err != nil || len(all) == 0 {
		return err
	}
	if err := n.keysCurrent(ctx); err != nil {
		return err
	}
	if all, err = n.barAll(ctx); err != nil {
		return err
	}
	records, err := n.system.TenantKeys()
	if err != nil {
		return err
	}
	use := system.InUse(records).Version
	if slices.ContainsFunc(all, func(e system.Erasure) bool { return e.Under >= use }) {
		n.eraseProgress.say("%d accounts are barred; a new tenant key is made", len(all))
		r, err := n.rotateTenant(ctx)
		if err != nil {
			return err
		}
		use = r.Version
	}
	n.eraseProgress.say("tenant key %d is in use; the keys of all other accounts are rewrapped under it", use)
	if _, err := n.destroyTenant(ctx); err != nil {
		return err
	}
	for _, e := range all {
		// Accounts that were barred since wait for the next round.
		if e.Under < use {
			if _, err := n.propose(ctx, &command.ForgetAccount{Account: e.Account}); err != nil {
				return err
			}
			n.deps.Logger.Info("an account is erased", "account", e.Account, "began", time.Unix(0, e.Since).UTC())
		}
	}
	n.eraseProgress.say("%d accounts are erased", len(all))
	return nil
}

// barAll erases accounts in their groups, waits until these hold nothing of
// them, and records it.
func (n *Node) barAll(ctx context.Context) ([]system.Erasure, error) {
	all, err := n.system.Erasures()
	if err != nil {
		return nil, err
	}
	var barred []rookery.AccountID
	for _, e := range all {
		if e.Barred {
			continue
		}
		p, err := n.system.Account(e.Account)
		if p.Account != e.Account {
			return nil, errors.Join(err, rookery.E("erase account", rookery.KindNotFound, fmt.Errorf("account %s is not in the map", e.Account)))
		}
		n.eraseProgress.say("account %s is erased in group %d", e.Account, p.Group)
		if err := n.proposeTo(ctx, p.Group, &command.BarAccount{Account: e.Account}); err != nil {
			return nil, err
		}
		if err := n.reap(ctx, p.Group, e.Account); err != nil {
			return nil, err
		}
		barred = append(barred, e.Account)
	}
	for len(barred) > 0 {
		some := barred[:min(len(barred), command.MaxErase)]
		barred = barred[len(some):]
		if _, err := n.propose(ctx, &command.AccountsErased{Accounts: some}); err != nil {
			return nil, err
		}
	}
	if err := n.groups.Barrier(ctx, rookery.SystemGroup); err != nil {
		return nil, err
	}
	return n.system.Erasures()
}

// reap has a group remove what an erased account left in it.
func (n *Node) reap(ctx context.Context, id rookery.GroupID, a rookery.AccountID) error {
	return n.purgeAccount(ctx, id, a, 1) // nothing was expunged then
}

// beginErasure begins the erasure of accounts named by id or address, all or
// none of them.
func (n *Node) beginErasure(ctx context.Context, who []string) (ids []rookery.AccountID, err error) {
	const op = "erase accounts"
	if len(who) == 0 || len(who) > command.MaxErase {
		return nil, rookery.E(op, rookery.KindInvalid, fmt.Errorf("%d accounts at once; name 1 to %d", len(who), command.MaxErase))
	}
	if err := n.keysCurrent(ctx); err != nil {
		return nil, err
	}
	for _, w := range who {
		id, err := n.findAccount(ctx, w)
		if err != nil {
			return nil, rookery.E(op, 0, fmt.Errorf("%s: %w; nothing was begun", w, err))
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	index, _, err := n.proposeAt(ctx, &command.EraseAccounts{Accounts: ids})
	if err != nil {
		return nil, err
	}
	n.deps.Logger.Warn("the erasure of accounts begins", "accounts", len(ids))
	return ids, n.groups.Wait(ctx, rookery.SystemGroup, index)
}
