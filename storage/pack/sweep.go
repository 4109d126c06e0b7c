package pack

import (
	"context"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// sweep moves packs without live bodies on through their lives: dead, deleted
// (committed before the object goes), object gone, record gone. Whatever fails
// is tried again at the next sweep.
func (p *Packer) sweep(ctx context.Context) {
	for after := command.PackID(""); ; {
		packs, err := p.o.Source.Packs(after, page)
		if err != nil {
			p.failed("cannot list packs", err)
			return
		}
		for _, k := range packs {
			after = k.ID
			if err := p.advance(ctx, k); err != nil {
				if ctx.Err() == nil {
					p.failed("cannot clear away a dead pack", err)
				}
				return
			}
		}
		if len(packs) < page || ctx.Err() != nil {
			return
		}
	}
}

// advance takes one pack as far as it may go.
func (p *Packer) advance(ctx context.Context, k mailbox.Pack) error {
	if k.State == mailbox.PackLive {
		if k.LiveBodies > 0 {
			return nil
		}
		if err := p.once(ctx, &command.PackDead{Pack: k.ID}); err != nil {
			return err
		}
		return nil // its time of death is known from the next sweep on
	}
	if k.State == mailbox.PackDead {
		if p.o.Deletable == nil {
			return nil
		}
		ok, err := p.o.Deletable(ctx, k)
		if err != nil || !ok {
			return err
		}
		if err := p.once(ctx, &command.PackDeleted{Pack: k.ID}); err != nil {
			return err
		}
	}
	if err := p.o.Store.Delete(ctx, Key(p.o.Group, k.ID)); err != nil {
		return err
	}
	return p.once(ctx, &command.PackForget{Pack: k.ID})
}

// once proposes a step of a pack's life; that another has done it before, or
// that the pack lives again, is no failure of the sweep.
func (p *Packer) once(ctx context.Context, c command.Command) error {
	err := p.o.Propose(ctx, p.o.Group, c)
	if rookery.Is(err, rookery.KindNotFound) {
		return nil
	}
	return err
}

// Floor is the lowest log index of a group that this node still needs: every
// entry below it may go as far as bodies are concerned. It is the first entry
// of an unpacked body or open stage, or where nothing waits, the entry behind
// the last applied one. applied is read first: what commits meanwhile lies
// above.
func Floor(m *mailbox.Machine, applied func() rookery.LogIndex) (rookery.LogIndex, error) {
	next := applied() + 1
	oldest, err := m.OldestUnpacked()
	if err != nil || oldest != 0 {
		return oldest, err
	}
	return next, nil
}
