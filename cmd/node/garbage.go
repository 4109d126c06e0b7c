package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"rookery"
	"rookery/cmd/node/settings"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
	"rookery/storage/system"
)

// nameLife is how long the name of a pack is good for, and so the age at which
// an object that no group knows is an orphan.
const nameLife = 24 * time.Hour

// useGarbage puts changed settings of rewriting into force.
func (b *bodies) useGarbage(g *settings.Garbage) {
	b.garbage.Store(g)
	b.budget.Set(g.RepackRate << 20)
}

func (b *bodies) repack() pack.Repack {
	g := b.garbage.Load()
	return pack.Repack{Below: g.RepackBelow, After: settings.Span(g.RepackAfter), Merge: settings.Span(g.MergeAfter)}
}

// packTime names packs: never behind group time, which another node's clock
// may have driven on and by which names expire. A name in the future would keep
// an orphan for as long.
func (b *bodies) packTime(m *mailbox.Machine) func() time.Time {
	return func() time.Time {
		now, err := b.node.agreedTime()
		if err != nil {
			now = b.node.deps.Clock() // packing goes on: the disk is finite
		}
		if agreed := time.Unix(0, m.Time()); agreed.After(now) {
			return agreed
		}
		return now
	}
}

// deletable lets go of a group's packs that have been dead for a while and are
// kept by no hold, neither one that the group has nor one that it is still to
// get.
func (b *bodies) deletable(id rookery.GroupID) func(context.Context, mailbox.Pack) (bool, error) {
	return func(_ context.Context, p mailbox.Pack) (bool, error) {
		m := b.node.groups.Machine(id)
		if m == nil {
			return false, nil
		}
		now, err := b.node.jobTime(id)
		if err != nil || now.Sub(time.Unix(0, p.Dead)) <= b.node.deps.tuning.deadTime() {
			return false, err
		}
		if missing, err := b.node.holdsMissing(m); err != nil || len(missing) > 0 {
			return false, err
		}
		why, err := m.Keeper(p, now.UnixNano())
		return err == nil && why == "", err
	}
}

// holdsMissing are the operators' holds that a group does not have yet.
func (n *Node) holdsMissing(m *mailbox.Machine) (missing []system.Hold, err error) {
	want, err := n.system.Holds()
	if err != nil || len(want) == 0 {
		return nil, err
	}
	have, err := m.Holds()
	for _, h := range want {
		if !slices.ContainsFunc(have, func(x mailbox.Hold) bool { return x.Kind == command.HoldOperator && x.Name == h.Name }) {
			missing = append(missing, h)
		}
	}
	return missing, err
}

// holdsEvery is how often groups are looked at for holds they lack.
const holdsEvery = 30 * time.Second

// spreadHolds brings the operators' holds to the groups this node leads, those
// that were added since included, and takes lifted ones off.
func (n *Node) spreadHolds(ctx context.Context) error {
	return n.groups.Follow(ctx, holdsEvery, func() {
		n.groups.EachLed(ctx, "the holds on stored bytes cannot be brought to a group; it deletes nothing until this works", n.spreadTo)
	})
}

func (n *Node) spreadTo(ctx context.Context, id rookery.GroupID) error {
	m := n.groups.Machine(id)
	if m == nil {
		return nil
	}
	missing, err := n.holdsMissing(m)
	if err != nil {
		return err
	}
	for _, h := range missing {
		if err := n.groups.Commit(ctx, id, holdOf(h)); err != nil {
			return err
		}
	}
	have, err := m.Holds()
	if err != nil {
		return err
	}
	for _, h := range have {
		if h.Kind != command.HoldOperator {
			continue
		}
		// The system group's word counts only behind a barrier: this node may
		// not have heard of a hold that was just placed.
		if err := n.groups.Barrier(ctx, rookery.SystemGroup); err != nil {
			return err
		}
		want, err := n.system.Holds()
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(want, func(x system.Hold) bool { return x.Name == h.Name }) {
			if err := n.groups.Commit(ctx, id, &command.Release{Kind: h.Kind, Name: h.Name}); err != nil {
				return err
			}
		}
	}
	return nil
}

func holdOf(h system.Hold) *command.Hold {
	return &command.Hold{Kind: command.HoldOperator, Name: h.Name, From: h.From, To: h.To, Reason: h.Reason}
}

// garbageStatus sums a group's packs for the status, at most once in a while:
// there may be very many.
type garbageStatus struct {
	at     time.Time
	totals mailbox.PackTotals
}

// statusEvery is how old the sums of the status may be.
const statusEvery = 30 * time.Second

// packTotals gives the sums of a group's packs.
func (b *bodies) packTotals(id rookery.GroupID, m *mailbox.Machine) (mailbox.PackTotals, error) {
	if s, ok := b.totals.Load(id); ok && time.Since(s.(garbageStatus).at) < statusEvery {
		return s.(garbageStatus).totals, nil
	}
	t, err := m.PackTotals(int64(b.node.deps.tuning.deadTime()))
	if err != nil {
		return t, fmt.Errorf("packs: %w", err)
	}
	b.totals.Store(id, garbageStatus{time.Now(), t})
	return t, nil
}
