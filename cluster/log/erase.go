package log

// Erase gives up all that the log holds of the group but its term and vote and
// the values beside them: its range is empty and nothing of it is found any
// more. It returns when that is durable. Bodies put outside the range are
// given up as if all floors had passed them, which a start does not know: Erase
// again then. The first entry or body stored afterwards ends it: every floor is
// at 0 again. Files that hold little else are freed soon, whatever the budget.
func (g *Group) Erase() error {
	r := g.l.newRequest(g)
	r.plan = func() error {
		if g.log.last() > 0 {
			// A reset alone keeps the range readable outside it.
			r.control(record{kind: kindTruncate, group: g.id}, nil)
			r.control(record{kind: kindReset, group: g.id}, nil)
		}
		return nil
	}
	l := g.l
	l.mu.Lock()
	for _, es := range []extents{g.log, g.old} {
		for _, e := range es {
			l.thinned[e.segment.id] = true
		}
	}
	l.mu.Unlock()
	if err := l.submit(r); err != nil {
		return err
	}
	l.mu.Lock()
	g.release()
	l.mu.Unlock()
	l.kickKeeper()
	return nil
}

// thin gives the sealed segments that lost entries by Erase and are used by
// other groups for less than a tenth: as a cache they are not worth their
// place. The others are left to the budget. The caller is the keeper.
func (l *Log) thin() map[*segment]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.thinned) == 0 {
		return nil
	}
	used := map[*segment]int64{}
	for _, g := range l.groups {
		for _, e := range g.log {
			used[e.segment] += e.bytes
		}
		for _, e := range g.old {
			if e.last >= g.keep(false) {
				used[e.segment] += e.bytes
			}
		}
	}
	thin := map[*segment]bool{}
	for id := range l.thinned {
		s := l.segments[id]
		if s == nil || s != l.active {
			delete(l.thinned, id)
		}
		if s != nil && s != l.active && used[s] < s.slot.size/10 {
			thin[s] = true
		}
	}
	return thin
}
