package verify

import (
	"time"

	"rookery"
	"rookery/backup/archive"
)

// hole is a span of the window that cannot be brought back: entries behind after, up to
// until, which the next good image has.
type hole struct {
	after, until rookery.LogIndex
	from, to     time.Time // to is zero where no image ends it
	known        *archive.Gap
	image        string // the manifest that knows it
	told         bool
}

// has reports whether a fault is a reason for it.
func (h *hole) has(f *fault) bool {
	if f.image {
		return h.after <= f.first && f.first <= h.until
	}
	return f.first <= h.until && f.last > h.after
}

// holes are the spans from the base on, to the end, that good images and segments do not
// reach, and points whose image is not good.
func (g *group) holes() (all []hole) {
	for i := range g.kept.Images[:g.base] {
		if x := &g.kept.Images[i]; !g.goodImages[i] {
			at := time.Unix(0, x.Time)
			all = append(all, hole{after: x.Index, until: x.Index, from: at, to: at})
		}
	}
	base := &g.kept.Images[g.base]
	upto, at := base.Index, base.Time
	if !g.goodImages[g.base] {
		h, end, time, more := g.resume(base.Index, base.Time, base.Index)
		all = append(all, h)
		if !more {
			return all
		}
		upto, at = end, time
	}
	for _, s := range g.segments {
		if !s.good || s.Last <= upto {
			continue
		}
		if s.First > upto+1 {
			h, end, time, more := g.resume(upto, at, s.First-1)
			all = append(all, h)
			if !more {
				return all
			}
			upto, at = end, time
		}
		if s.Last > upto {
			upto, at = s.Last, max(at, s.To)
		}
	}
	if end := g.end(); end > upto {
		h, _, _, _ := g.resume(upto, at, end)
		all = append(all, h)
	}
	return all
}

// end is the last entry that the archive is known to have had.
func (g *group) end() (last rookery.LogIndex) {
	for _, x := range g.kept.Images {
		last = max(last, x.Index)
	}
	for _, s := range g.segments {
		last = max(last, s.Last)
	}
	return last
}

// resume finds the image from which restores go on where the entries behind upto, up to
// last, lack; more is false where there is none.
func (g *group) resume(upto rookery.LogIndex, at int64, last rookery.LogIndex) (h hole, end rookery.LogIndex, time int64, more bool) {
	h = g.tail(upto, at)
	for i := range g.kept.Images {
		x := &g.kept.Images[i]
		if i < g.base || !g.goodImages[i] || x.Index < last || x.Index <= upto && g.goodImages[g.base] {
			continue
		}
		h.until, h.to = x.Index, unix(x.Time)
		if w := g.gaps[i]; w != nil && w.From <= at {
			h.known, h.image = w, x.Key()
		}
		return h, x.Index, x.Time, true
	}
	return h, 0, 0, false
}

// tail is a hole that no image ends.
func (g *group) tail(upto rookery.LogIndex, at int64) hole {
	return hole{after: upto, until: max(g.end(), upto), from: unix(at)}
}

func unix(at int64) time.Time { return time.Unix(0, at) }
