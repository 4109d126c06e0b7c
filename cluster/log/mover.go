package log

import "rookery"

// mover copies records of one group out of a segment.
type mover struct {
	g     *Group
	from  *segment
	epoch uint32
	items []moved
	size  int64
	err   error
}

type moved struct {
	record record
	raw    []byte
	as     kind
}

// add reads a record, repairing it if need be, and queues it.
func (m *mover) add(index uint64, p place, as kind) {
	if m.err != nil {
		return
	}
	if m.size > 0 && m.size+int64(p.size) > int64(m.g.l.opts.MaxFlush) {
		if m.err = m.flush(); m.err != nil {
			return
		}
	}
	raw := make([]byte, p.size)
	if m.err = m.from.read(raw, int64(p.off)); m.err != nil {
		return
	}
	r, ok := decodeRecord(raw)
	if !ok || !r.whole(raw) || r.index != index || r.group != m.g.id || r.term != p.term {
		// Repairing stores it anew, so there is nothing left to copy.
		m.err = m.g.Verify(rookery.LogIndex(index), p.term)
		return
	}
	m.items = append(m.items, moved{record: r, raw: raw, as: as})
	m.size += r.size()
}

// flush stores the queued records, leaving out those that were truncated or
// rewritten meanwhile.
func (m *mover) flush() error {
	if m.err != nil || len(m.items) == 0 {
		return m.err
	}
	g, l := m.g, m.g.l
	r := l.newRequest(g)
	r.plan = func() error {
		if l.segments[m.from.id] != m.from {
			return nil
		}
		r.grow(len(m.items))
		for _, it := range m.items {
			if it.as == kindCopy {
				e, ok := g.log.find(it.record.index)
				if !ok || e.segment != m.from || g.epoch != m.epoch {
					continue
				}
			}
			r.raw(it.record, it.raw, it.as)
		}
		return nil
	}
	err := l.submit(r)
	if err == nil {
		l.mu.Lock()
		l.stats.CopiedBytes += uint64(m.size)
		l.mu.Unlock()
	}
	m.items, m.size = m.items[:0], 0
	return err
}
