package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"rookery"
	"rookery/storage/account"
	"rookery/storage/command"
)

// rewrapEvery is how often a group's leader looks for account keys under an old
// tenant key without being told.
const rewrapEvery = 10 * time.Minute

// pokeRewrap has this node look at a group's keys, where it leads it.
func (n *Node) pokeRewrap(id rookery.GroupID) {
	n.rewraps.Store(id, true)
	select {
	case n.rewrapMoved <- struct{}{}:
	default:
	}
}

// rewrapKeys brings the account keys of the groups led here under the tenant
// key in use, and ends the rotations of account keys. All of it is in the
// state: whoever leads next goes on.
func (n *Node) rewrapKeys(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	type done struct {
		version uint32
		at      time.Time
	}
	last := map[rookery.GroupID]done{}
	for {
		for _, id := range n.groups.here() {
			if !n.groups.leads(id) {
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
		select {
		case <-n.rewrapMoved:
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (n *Node) rewrapGroup(ctx context.Context, id rookery.GroupID) error {
	if gate, err := n.groups.system.Gate(); err != nil || gate < command.Introduced(command.TypeRewrapAccounts) {
		return err
	}
	done, err := n.accounts.RewrapAccounts(ctx, id)
	if done > 0 {
		n.deps.Logger.Info("account keys are rewrapped", "group", id, "count", done, "under", n.tenant.ring.Current())
	}
	if err != nil {
		return err
	}
	m := n.groups.machine(id)
	for after := (rookery.AccountID{}); m != nil; {
		accounts, err := m.Accounts(after, 256)
		if err != nil {
			return err
		}
		for _, a := range accounts {
			if after = a.ID; len(a.Old) > 0 {
				if err := n.endRotation(ctx, a.ID); err != nil {
					return err
				}
			}
		}
		if len(accounts) < 256 {
			break
		}
	}
	return nil
}

// endRotation takes the rotation of an account's key to its end: its messages
// are rewrapped, then the old key is dropped, once nothing under it is on its
// way on any node or owed by any group.
func (n *Node) endRotation(ctx context.Context, id rookery.AccountID) error {
	a, err := n.accounts.Open(ctx, id)
	if rookery.Is(err, rookery.KindUnavailable) || rookery.Is(err, rookery.KindNotFound) {
		return nil // it is being erased
	}
	if err != nil {
		return err
	}
	for more := true; more; {
		if more, err = a.RewrapMessages(ctx); err != nil {
			return err
		}
	}
	generation, rewrapped, err := a.Rotating()
	if err != nil || generation == 0 {
		return err
	}
	if !rewrapped {
		return rookery.E("rotate account key", rookery.KindConflict, fmt.Errorf("account %s has more messages", id))
	}
	if err := n.settleAll(ctx); err != nil {
		return err
	}
	if err := n.nothingOwed(ctx, id, generation); err != nil {
		return err
	}
	if err := a.DropOldKey(ctx, generation); err != nil {
		return err
	}
	n.deps.Logger.Info("an account's key is rotated", "account", id, "generation", generation)
	return nil
}

const callOwed = "keyowed"

// owedQuery asks whether a group owes an account a message under an older key.
type owedQuery struct {
	Account    rookery.AccountID `cbor:"1,keyasint"`
	Generation uint32            `cbor:"2,keyasint"`
}

// nothingOwed is an error while some group still has to pass on a message
// whose key is wrapped by an older key of the account.
func (n *Node) nothingOwed(ctx context.Context, id rookery.AccountID, generation uint32) error {
	groups, err := n.groups.system.Groups()
	if err != nil {
		return err
	}
	q, err := cbor.Marshal(owedQuery{id, generation})
	if err != nil {
		return err
	}
	for _, g := range groups {
		if g.Group == rookery.SystemGroup || g.Void || !g.Begun() && g.Founder != "" {
			continue
		}
		call := groupCall{Group: g.Group, Data: q}
		var a groupAnswer
		if n.groups.machine(g.Group) != nil {
			a, err = n.owedHere(ctx, call)
		} else {
			a, err = n.askReplica(ctx, callOwed, call, leaderWait+askWait)
		}
		if err != nil {
			return err
		}
		if a.Index > 0 {
			return rookery.E("rotate account key", rookery.KindUnavailable, fmt.Errorf("group %d still owes account %s a message under the old key", g.Group, id))
		}
	}
	return nil
}

// owedHere answers it: index 1 is yes.
func (n *Node) owedHere(ctx context.Context, q groupCall) (a groupAnswer, err error) {
	var ask owedQuery
	if err := cbor.Unmarshal(q.Data, &ask); err != nil {
		return a, rookery.E(callOwed, rookery.KindInvalid, err)
	}
	m := n.groups.machine(q.Group)
	if m == nil {
		return a, away{n, q.Group}.none()
	}
	if err := n.road.Barrier(ctx, q.Group); err != nil {
		return a, err
	}
	owed, err := m.Owed(ask.Account, ask.Generation)
	if owed {
		a.Index = 1
	}
	return a, err
}

// rotateAccount begins the rotation of an account's own key; its group's leader
// takes it to the end.
func (n *Node) rotateAccount(ctx context.Context, who string) (rookery.AccountID, error) {
	if err := n.keysCurrent(ctx); err != nil {
		return rookery.AccountID{}, err
	}
	id, err := n.findAccount(ctx, who)
	if err != nil {
		return id, err
	}
	var a *account.Account
	if a, err = n.accounts.Open(ctx, id); err == nil {
		err = a.RotateKey(ctx)
	}
	return id, err
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
	if err := n.road.Barrier(ctx, rookery.SystemGroup); err != nil {
		return id, err
	}
	p, err := n.groups.system.ByKey(entry.Key)
	if rookery.Is(err, rookery.KindNotFound) {
		return id, rookery.E(op, rookery.KindNotFound, fmt.Errorf("%s is in the directory and has no account yet", who))
	}
	if p.Account != (rookery.AccountID{}) {
		return p.Account, nil // also one that is being erased
	}
	return id, errors.Join(err)
}
