package pack

import (
	"context"
	"time"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/holds"
	"rookery/storage/mailbox"
)

// sweep moves packs without live bodies on through their lives: dead, deleted
// (committed before the object goes), object gone, record gone once its name has
// expired. It notes what is worth rewriting. Whatever fails is tried again at
// the next sweep.
func (p *Packer) sweep(ctx context.Context) {
	began := time.Now()
	defer func() { p.swept, p.took = time.Now(), time.Since(began) }()
	clear(p.unreadable)
	p.mu.Lock()
	p.stats.Unreadable = 0
	p.mu.Unlock()
	rules, err := p.rules(ctx)
	if err != nil {
		p.setback("cannot read the rules of packs", err)
		return
	}
	found := &chores{}
	for after := command.PackID(""); ; {
		packs, err := p.o.Source.Packs(after, page)
		if err != nil {
			p.setback("cannot list packs", err)
			return
		}
		now, doubt := p.o.Age()
		for _, k := range packs {
			after = k.ID
			if err := p.advance(ctx, k, rules); err != nil {
				if ctx.Err() == nil {
					p.setback("cannot clear away a dead pack", err)
				}
				return
			}
			if doubt == nil && k.State == mailbox.PackLive && p.o.Repack != nil && p.o.Budget != nil && rules.NameLife > 0 {
				p.consider(found, k, now)
			}
		}
		if len(packs) < page || ctx.Err() != nil {
			break
		}
	}
	found.sort()
	p.chores, p.due = found, nil
	p.mu.Lock()
	p.stats.Setback = ""
	p.mu.Unlock()
}

// rules has the group agree on how long names are good for, once. Before that
// nothing is rewritten: a late Packed could bring a body back into a pack that
// is gone.
func (p *Packer) rules(ctx context.Context) (holds.Rules, error) {
	rules, err := p.o.Source.PackRules()
	if err != nil || rules.NameLife > 0 {
		return rules, err
	}
	if err := p.o.Propose(ctx, p.o.Group, &command.NamePacks{Life: int64(p.o.NameLife)}); err != nil {
		// While nodes of an older version are in the cluster it is refused.
		p.o.Logger.Debug("the group does not agree on the life of names yet", "group", p.o.Group, "error", err)
		return rules, nil
	}
	return p.o.Source.PackRules()
}

// advance takes one pack as far as it may go.
func (p *Packer) advance(ctx context.Context, k mailbox.Pack, rules holds.Rules) error {
	switch {
	case k.State == mailbox.PackLive && k.LiveBodies > 0:
		return nil
	case k.State == mailbox.PackLive:
		return p.once(ctx, &command.PackDead{Pack: k.ID}) // its time of death is known from the next sweep on
	case k.State == mailbox.PackDead:
		if p.o.Deletable == nil {
			return nil
		}
		if ok, err := p.o.Deletable(ctx, k); err != nil || !ok {
			return err
		}
		if err := p.o.Propose(ctx, p.o.Group, &command.PackDeleted{Pack: k.ID}); err != nil {
			if rookery.Is(err, rookery.KindConflict) || rookery.Is(err, rookery.KindNotFound) {
				return nil // kept since it was asked about, or gone
			}
			return err
		}
	}
	if !p.gone[k.ID] {
		if err := p.o.Store.Delete(ctx, Key(p.o.Group, k.ID)); err != nil {
			return err
		}
		p.gone[k.ID] = true
		p.mu.Lock()
		p.stats.Deleted++
		p.mu.Unlock()
	}
	if t, ok := k.ID.Time(); ok && rules.NameLife > 0 {
		if now, err := p.o.Age(); err != nil || now.UnixNano()-t <= rules.NameLife {
			return nil // the record stays until its name expires
		}
	}
	err := p.once(ctx, &command.PackForget{Pack: k.ID})
	if rookery.Is(err, rookery.KindConflict) {
		return nil // group time is not there yet
	}
	if err == nil {
		delete(p.gone, k.ID)
	}
	return err
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
