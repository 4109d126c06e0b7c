package objects

import (
	"context"
	"time"

	"rookery"
	"rookery/cluster/consensus"
)

// PurgeEvery is how often expunged messages past their time are searched for;
// purgePage is how many accounts are listed at once.
const (
	PurgeEvery = 10 * time.Minute
	purgePage  = 256
)

// purge removes expunged messages whose time is over, in the groups this node
// leads.
func (u *Upkeep) purge(ctx context.Context) error {
	return u.o.Replicas.Follow(ctx, u.purgeEvery, func() {
		u.o.Replicas.EachLed(ctx, "purge of expunged messages failed; trying again later", u.PurgeGroup)
	})
}

// PurgeGroup purges one group.
func (u *Upkeep) PurgeGroup(ctx context.Context, id rookery.GroupID) error {
	days := time.Duration(u.expungedDays())
	m := u.o.Replicas.Machine(id)
	if m == nil {
		return nil // it has just left
	}
	now, err := u.o.Clocks.Now()
	if err != nil {
		return err
	}
	if now.Sub(time.Unix(0, m.Time())) > consensus.MaxAhead {
		// An idle group's time stands still, and by it all that goes by age.
		if err := u.moveTime(ctx, id, u.o.NameLife); err != nil {
			return err
		}
	}
	if now, err = u.o.Replicas.JobTime(u.o.Clocks, id); err != nil {
		return err
	}
	before := now.Add(-days * 24 * time.Hour).UnixNano()
	for after := (rookery.AccountID{}); ; {
		some, err := m.Purgeable(before, after, purgePage)
		if err != nil || len(some) == 0 {
			return err
		}
		for _, a := range some {
			if err := u.accounts.Purge(ctx, id, a, before); err != nil {
				return err
			}
		}
		after = some[len(some)-1]
	}
}
