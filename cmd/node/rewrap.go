package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rookery"
)

// rewrapEvery is how often a group's leader looks for account keys under an old
// tenant key without being told.
const rewrapEvery = 10 * time.Minute

// rewrapRetry is how soon what failed is tried again.
const rewrapRetry = 5 * time.Second

// pokeRewrap has this node look at a group's keys, where it leads it.
func (n *Node) pokeRewrap(id rookery.GroupID) {
	n.rewraps.Store(id, true)
	n.topics.publish(topicAccountKeys)
}

// rewrapKeys brings the account keys of the groups led here under the tenant
// key in use. How far that is, is in the state: whoever leads next goes on.
func (n *Node) rewrapKeys(ctx context.Context) error {
	type done struct {
		version uint32
		at      time.Time
	}
	last := map[rookery.GroupID]done{}
	return n.topics.follow(ctx, rewrapRetry, func() {
		for _, id := range n.groups.Here() {
			if !n.groups.Leads(id) {
				delete(last, id) // the next time it leads it looks
				continue
			}
			now := done{n.tenant.ring.Current(), time.Now()}
			_, poked := n.rewraps.LoadAndDelete(id)
			if d, ok := last[id]; ok && !poked && d.version == now.version && now.at.Sub(d.at) < rewrapEvery {
				continue
			}
			if err := n.rewrapGroup(ctx, id); err != nil {
				if ctx.Err() == nil {
					n.deps.Logger.Warn("keys of a group are not rewrapped yet; trying again", "group", id, "error", err)
				}
				n.rewraps.Store(id, true)
				continue
			}
			last[id] = now
		}
	}, topicAccountKeys)
}

func (n *Node) rewrapGroup(ctx context.Context, id rookery.GroupID) error {
	done, err := n.accounts.RewrapAccounts(ctx, id)
	if done > 0 {
		n.deps.Logger.Info("account keys are rewrapped", "group", id, "count", done, "under", n.tenant.ring.Current())
	}
	return err
}

// findAccount is an account named by its id or by an address of its owner.
func (n *Node) findAccount(ctx context.Context, who string) (id rookery.AccountID, err error) {
	const op = "find account"
	if id, err := rookery.ParseAccountID(who); err == nil {
		return id, nil
	}
	address, err := rookery.ParseAddress(who)
	if err != nil {
		return id, rookery.E(op, rookery.KindInvalid, fmt.Errorf("%q is neither an address nor an account id", who))
	}
	entry, err := n.people.Recipient(ctx, address)
	if err != nil {
		return id, err
	}
	if err := n.groups.Barrier(ctx, rookery.SystemGroup); err != nil {
		return id, err
	}
	p, err := n.system.ByKey(entry.Key)
	if rookery.Is(err, rookery.KindNotFound) {
		return id, rookery.E(op, rookery.KindNotFound, fmt.Errorf("%s is in the directory and has no account yet", who))
	}
	if p.Account != (rookery.AccountID{}) {
		return p.Account, nil // also one that is being erased
	}
	return id, errors.Join(err)
}
