package node

import (
	"context"
	"errors"
	"time"

	"rookery"
	"rookery/cluster/consensus"
)

// purgeEvery is how often expunged messages past their time are looked for;
// purgePage is how many accounts are listed at once.
const (
	purgeEvery = 10 * time.Minute
	purgePage  = 256
)

// releaseEvery is how often the log is released on nodes that do not pack, and
// squeezeEvery how often everything is let go of that can be while the disk is
// short.
const (
	releaseEvery = 30 * time.Second
	squeezeEvery = 5 * time.Second
)

// startJobs runs what goes on in the background until Close.
func (n *Node) startJobs() {
	n.job("delivery to further groups", n.deliver.Run)
	n.job("settings", n.followSettings)
	n.job("purge", n.purge)
	n.job("members", n.followCluster)
	n.job("room on the disk", n.followDisk)
	n.job("certificate", n.peers.RenewCertificate)
	n.job("release of the log", n.releaseLog)
	n.job("missing bodies", n.fetchMissing)
	n.job("forgetting of nodes", newForgetting(n).run)
	n.job("sessions on other nodes", n.onward.watch)
	n.job("last sign-ins", n.signIns.run)
	n.job("placement", n.place)
	n.job("keys", n.keys.Run)
	n.job("moves of accounts", n.movers.run)
	n.job("holds", n.spreadHolds)
	n.job("trying the object store", n.bodies.tried.Run)
	n.job("orphan sweep", n.sweepRegularly)
}

func (n *Node) job(name string, run func(context.Context) error) {
	n.wg.Go(func() {
		if err := run(n.jobs); err != nil && !errors.Is(err, context.Canceled) {
			n.deps.Logger.Error("a background job ended", "job", name, "error", err)
		}
	})
}

// fetchMissing completes what a crash between the installing of an image and
// the fetching of its bodies left undone.
func (n *Node) fetchMissing(ctx context.Context) error {
	for _, id := range n.groups.Here() {
		for wait := time.Second; ; wait = min(2*wait, time.Minute) {
			err := n.groups.FetchBodies(ctx, id)
			if err == nil {
				break
			}
			n.deps.Logger.Warn("bodies of a group are missing here and cannot be fetched yet", "group", id, "error", err)
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return nil
			}
		}
	}
	return nil
}

// releaseLog lets every replica's log go as far as its bodies are packed, also
// where another node leads and packs.
func (n *Node) releaseLog(ctx context.Context) error {
	i := 0
	return n.groups.Follow(ctx, squeezeEvery, func() {
		short := n.groups.Log().Stats().Short
		if short || i%int(releaseEvery/squeezeEvery) == 0 {
			for _, id := range n.groups.Here() {
				n.bodies.release(n.groups, id)
			}
			n.groups.Squeeze(short)
		}
		i++
	})
}

// purge removes expunged messages whose time is over, in the groups this node
// leads.
func (n *Node) purge(ctx context.Context) error {
	return n.groups.Follow(ctx, n.deps.tuning.purgeTime(), func() {
		n.groups.EachLed(ctx, "purge of expunged messages failed; trying again later", n.purgeGroup)
	})
}

func (n *Node) purgeGroup(ctx context.Context, id rookery.GroupID) error {
	days := time.Duration(n.live.limits().ExpungedDays)
	m := n.groups.Machine(id)
	if m == nil {
		return nil // it has just left
	}
	now, err := n.agreedTime()
	if err != nil {
		return err
	}
	if now.Sub(time.Unix(0, m.Time())) > consensus.MaxAhead {
		// An idle group's time stands still, and by it all that goes by age.
		if err := n.moveTime(ctx, id, n.deps.tuning.nameTime()); err != nil {
			return err
		}
	}
	if now, err = n.jobTime(id); err != nil {
		return err
	}
	before := now.Add(-days * 24 * time.Hour).UnixNano()
	for after := (rookery.AccountID{}); ; {
		some, err := m.Purgeable(before, after, purgePage)
		if err != nil || len(some) == 0 {
			return err
		}
		for _, a := range some {
			if err := n.accounts.Purge(ctx, id, a, before); err != nil {
				return err
			}
		}
		after = some[len(some)-1]
	}
}
