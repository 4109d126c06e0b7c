package backups

import (
	"context"
	"time"

	"rookery"
	"rookery/backup/archive"
	"rookery/backup/retention"
	"rookery/cmd/node/backups/figures"
)

// Stats tells how the backup fares here. It asks nobody.
func (s *Service) Stats() (x figures.Stats) {
	now := s.o.Clock()
	s.mu.Lock()
	for _, g := range s.groups {
		at := g.at.Load()
		if at == nil {
			continue
		}
		y := figures.GroupStats{Group: g.id}
		if at.Since > 0 && at.Pending > 0 {
			y.Lag = max(0, now.Sub(time.Unix(0, at.Since)))
		}
		y.Image = at.Made
		if o := g.oldest.Load(); o != nil {
			y.Oldest = o.at
			if at.Gap != nil && at.Gap.To > y.Oldest.UnixNano() {
				y.Oldest = time.Unix(0, at.Gap.To)
			}
		}
		x.Groups = append(x.Groups, y)
	}
	for _, c := range s.jobs {
		select {
		case <-c.ended:
		default:
			x.Restores++
		}
	}
	s.mu.Unlock()
	x.Failed = s.steps.Load()
	x.Written, x.Requests = s.asked.Totals()
	return x
}

// oldest is from when on a group can be restored, as it was found at a time.
type oldest struct {
	at    time.Time
	image rookery.LogIndex // the newest then
	found time.Time
}

// oldestAgain is how long that is believed while no image is added: a listing of all
// segments of a window takes hundreds of requests.
const oldestAgain = 24 * time.Hour

// oldests finds from when on the groups archived here can be restored, by the names of
// what the archive has: what the objects are worth is told by Verify.
func (s *Service) oldests(ctx context.Context) {
	s.mu.Lock()
	groups := make([]*group, 0, len(s.groups))
	for _, g := range s.groups {
		groups = append(groups, g)
	}
	s.mu.Unlock()
	for _, g := range groups {
		at, was := g.at.Load(), g.oldest.Load()
		if at == nil || at.Image.Index == 0 || was != nil && was.image == at.Image.Index && s.o.Clock().Sub(was.found) < oldestAgain {
			continue
		}
		images, err := archive.Images(ctx, g.store, g.id)
		if err != nil || len(images) == 0 {
			continue // the archiver tells of a store that does not answer
		}
		if segments, err := archive.Segments(ctx, g.store, g.id); err == nil {
			g.oldest.Store(&oldest{time.Unix(0, retention.Oldest(images, segments)), at.Image.Index, s.o.Clock()})
		}
	}
}
