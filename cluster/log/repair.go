package log

import (
	"context"
	"fmt"
	"time"

	"rookery"
)

const repairTimeout = 10 * time.Second

// repair fetches a damaged record from a peer and stores it anew. cause is
// the error if that cannot be.
func (g *Group) repair(index, term uint64, cause error) ([]byte, record, error) {
	l := g.l
	if l.opts.Repair == nil {
		return nil, record{}, cause
	}
	ctx, cancel := context.WithTimeout(l.ctx, repairTimeout)
	defer cancel()
	b, err := l.opts.Repair(ctx, g.id, rookery.LogIndex(index), term)
	if err != nil {
		kind := rookery.KindDamaged
		if rookery.Is(err, rookery.KindUnavailable) {
			kind = rookery.KindUnavailable // a peer that does not answer may have it
		}
		return nil, record{}, rookery.E("repair log", kind, fmt.Errorf("%v; and no peer helps: %w", cause, err))
	}
	if _, err := DataOf(b, g.id, rookery.LogIndex(index), term); err != nil {
		return nil, record{}, rookery.E("repair log", rookery.KindDamaged, fmt.Errorf("%w; and the peer's answer is no better: %w", cause, err))
	}
	rec, _ := decodeRecord(b)
	r := l.newRequest(g)
	r.plan = func() error {
		as := kindBody
		if _, ok := g.log.find(index); ok {
			as = kindCopy
		}
		r.grow(1)
		r.raw(rec, b, as)
		return nil
	}
	if err := l.submit(r); err != nil {
		return nil, record{}, err
	}
	l.mu.Lock()
	l.stats.Repaired++
	l.mu.Unlock()
	l.opts.Logger.Warn("log: repaired a damaged entry from a peer", "group", g.id, "index", index, "term", rec.term, "cause", cause)
	return b, rec, nil
}

// Verify reads an entry or body whole, checks it, and repairs it if need be.
func (g *Group) Verify(index rookery.LogIndex, term uint64) error {
	_, _, err := g.read(uint64(index), term, false)
	return err
}

// Mend repairs a damaged group through Options.Repair, reading every entry of
// its range, so that Group gives it again. It fails with KindDamaged if
// entries may be lost whose number nobody knows: then the node has to leave
// the group and be added anew, for it may have forgotten what it acknowledged.
func (l *Log) Mend(ctx context.Context, id rookery.GroupID) error {
	l.mu.Lock()
	g := l.group(id)
	d, first, last := g.damage, g.log.first(), g.log.last()
	l.mu.Unlock()
	if d.why == "" {
		return nil
	}
	if d.lost {
		return rookery.E("mend log", rookery.KindDamaged, fmt.Errorf("group %d: %s: remove this node from the group and add it anew", id, d.why))
	}
	for i := first; i <= last && last > 0; i++ {
		if err := ctx.Err(); err != nil {
			return rookery.E("mend log", rookery.KindUnavailable, err)
		}
		if _, _, err := g.read(i, 0, true); err != nil {
			return rookery.E("mend log", rookery.KindUnknown, err)
		}
	}
	r := l.newRequest(g)
	r.plan = func() error {
		r.control(record{kind: kindWhole, group: id}, nil)
		return nil
	}
	return l.submit(r)
}
