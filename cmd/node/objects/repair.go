package objects

import (
	"context"
	"fmt"
	"slices"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/peers"
	"rookery/storage/body"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
	"rookery/storage/pack/check"
	"rookery/storage/pack/read"
)

// goodCopy is a copy of a body that was read whole and passed its checks.
type goodCopy struct {
	read pack.BodyReader
	from string
}

// repair says whose mail the damaged bodies are and where copies of them are
// left, and packs them anew where that is ordered.
func (u *Upkeep) repair(ctx context.Context, o peers.GroupCheck, m *mailbox.Machine, c *check.Checker,
	event func(adminapi.CheckEvent) error) error {
	ids := slices.Compact(slices.Sorted(slices.Values(c.Needed())))
	if len(ids) == 0 {
		return nil
	}
	wanted := map[command.BodyID]bool{}
	for _, id := range ids {
		wanted[id] = true
	}
	found, err := m.Owners(wanted)
	if err != nil {
		return err
	}
	owners := map[command.BodyID][]mailbox.Owner{}
	for _, w := range found {
		owners[w.Body] = append(owners[w.Body], w)
	}
	var bodies []mailbox.Body
	good := map[command.BodyID]goodCopy{}
	for _, id := range ids {
		b, err := m.Body(id)
		if rookery.Is(err, rookery.KindNotFound) {
			continue // it was purged meanwhile
		}
		if err != nil {
			return err
		}
		g := u.findCopy(ctx, o.Group, b, owners[id], c)
		if ctx.Err() != nil {
			return rookery.E("check packs", rookery.KindUnavailable, ctx.Err())
		}
		if g.read != nil {
			bodies, good[id] = append(bodies, b), g
		}
		if err := reportAffected(o.Group, b.ID, owners[id], g.from, event); err != nil {
			return err
		}
	}
	if !o.Repair {
		return nil
	}
	return u.packAnew(ctx, o.Group, m, bodies, good, event)
}

func reportAffected(group rookery.GroupID, id command.BodyID, owners []mailbox.Owner, from string,
	event func(adminapi.CheckEvent) error) error {
	for _, w := range owners {
		places := w.Places
		if len(places) == 0 {
			places = []mailbox.Place{{}}
		}
		for _, p := range places {
			a := &adminapi.AffectedMail{
				Group: group, Body: id, Account: w.Account.String(), Email: w.Email.String(), Mailbox: p.Name, UID: p.UID, Copy: from,
			}
			if err := event(adminapi.CheckEvent{Affected: a}); err != nil {
				return err
			}
		}
	}
	return nil
}

// findCopy finds a copy that is good to the last byte. Without an owner,
// whose key could open it, only a log is believed, for its own checksums.
func (u *Upkeep) findCopy(ctx context.Context, group rookery.GroupID, b mailbox.Body, owners []mailbox.Owner, c *check.Checker) goodCopy {
	var tries []goodCopy
	if q, ok := c.Elsewhere(b.ID); ok {
		moved := b
		moved.Pack = []mailbox.PackPiece{q}
		tries = append(tries, goodCopy{u.Reader.Copy(group, moved, 1), "its pack, at another place"})
	}
	for i := 1; i <= read.Copies; i++ {
		tries = append(tries, goodCopy{u.Reader.Copy(group, b, i), read.CopyName(i)})
	}
	if len(owners) == 0 {
		tries = tries[len(tries)-read.Copies+1:]
	}
	for _, g := range tries {
		if ctx.Err() == nil && u.Verify(ctx, b, owners, g.read) == nil {
			return g
		}
	}
	return goodCopy{}
}

// Verify reads a copy whole.
func (u *Upkeep) Verify(ctx context.Context, b mailbox.Body, owners []mailbox.Owner, read pack.BodyReader) error {
	if len(owners) == 0 {
		p := make([]byte, 64<<10)
		for off := int64(0); off < b.Encoded; off += int64(len(p)) {
			if err := read(ctx, p[:min(int64(len(p)), b.Encoded-off)], off); err != nil {
				return err
			}
		}
		return nil
	}
	a, err := u.accounts.Open(ctx, owners[0].Account)
	if err != nil {
		return err
	}
	return a.Verify(ctx, b, owners[0].Email, owners[0].Key, body.Only(read))
}

func (u *Upkeep) packAnew(ctx context.Context, group rookery.GroupID, m *mailbox.Machine, bodies []mailbox.Body,
	good map[command.BodyID]goodCopy, event func(adminapi.CheckEvent) error) error {
	readers := map[command.BodyID]pack.BodyReader{}
	for id, g := range good {
		readers[id] = g.read
	}
	mended, err := pack.Mend(ctx, u.o.Tune(pack.Options{
		Group: group, Source: m, Store: u.Store, Propose: u.o.Replicas.Commit, Clock: u.packTime(m), NameLife: NameLife, Logger: u.o.Logger,
	}), bodies, readers)
	for _, id := range mended {
		if rerr := event(adminapi.CheckEvent{Mended: &adminapi.MendedBody{Group: group, Body: id, From: good[id].from}}); rerr != nil {
			return rerr
		}
	}
	if len(mended) > 0 {
		u.o.Logger.Info("damaged bodies were packed anew", "group", group, "bodies", len(mended))
	}
	if err != nil {
		return rookery.E("repair packs", rookery.KindUnavailable, fmt.Errorf("%d of %d bodies were mended: %w", len(mended), len(bodies), err))
	}
	return nil
}
