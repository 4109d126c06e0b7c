package keyring

import (
	"context"
	"errors"
	"time"

	"rookery"
	"rookery/cmd/node/replicas"
)

// rewrapEvery is how often a group's leader looks for account keys under an old
// tenant key without being told.
const rewrapEvery = 10 * time.Minute

// rewrapRetry is how soon what failed is tried again.
const rewrapRetry = 5 * time.Second

// rewrapSoon has this node wrap a group's keys anew, where it leads it.
func (s *Service) rewrapSoon(id rookery.GroupID) {
	s.rewraps.Store(id, true)
	s.replicas.Publish(replicas.TopicAccountKeys)
}

// rewrapKeys brings the account keys of the groups led here under the tenant
// key in use. How far that is, is in the state: whoever leads next goes on.
func (s *Service) rewrapKeys(ctx context.Context) {
	type done struct {
		version uint32
		at      time.Time
	}
	last := map[rookery.GroupID]done{}
	s.replicas.Follow(ctx, rewrapRetry, func() {
		for _, id := range s.replicas.Here() {
			if !s.replicas.Leads(id) {
				delete(last, id) // wrapped anew the next time it leads
				continue
			}
			now := done{s.tenant.Keys.Current(), time.Now()}
			_, asked := s.rewraps.LoadAndDelete(id)
			if d, ok := last[id]; ok && !asked && d.version == now.version && now.at.Sub(d.at) < rewrapEvery {
				continue
			}
			if err := s.rewrapGroup(ctx, id); err != nil {
				if ctx.Err() == nil {
					s.o.Logger.Warn("keys of a group are not rewrapped yet; trying again", "group", id, "error", err)
				}
				s.rewraps.Store(id, true)
				continue
			}
			last[id] = now
		}
	}, replicas.TopicAccountKeys)
}

func (s *Service) rewrapGroup(ctx context.Context, id rookery.GroupID) error {
	done, err := s.o.Accounts.RewrapAccounts(ctx, id)
	if done > 0 {
		s.o.Logger.Info("account keys are rewrapped", "group", id, "count", done, "under", s.tenant.Keys.Current())
	}
	_, derr := s.o.Days.Rewrap(ctx, id)
	return errors.Join(err, derr, s.o.Days.Drop(ctx, id))
}
