package backups

import (
	"context"
	"slices"
	"time"

	"rookery"
	"rookery/backup/archive"
	"rookery/cmd/node/peers"
)

// checkpointEvery is how often a checkpoint is written at least while nothing happens.
const checkpointEvery = time.Minute

// checkpoint has the archive say how far all groups are, where this node leads the
// cluster and every group's leader can vouch for its own.
func (s *Service) checkpoint(ctx context.Context) {
	store := s.store.Load()
	if store == nil || !s.o.Replicas.Leads(rookery.SystemGroup) {
		s.chain, s.warned = nil, false // another node may write meanwhile
		return
	}
	groups, whole := s.points(ctx)
	if !whole {
		return
	}
	if s.chain == nil || s.chain.Store != store {
		s.chain = &archive.Chain{Cluster: s.o.Cluster, Store: store, Keys: s.o.Keys}
	}
	anyway := s.o.Clock().Sub(s.pointed) >= checkpointEvery
	err := s.chain.Write(ctx, s.o.Generation, groups, anyway)
	if err == nil {
		if anyway {
			s.pointed = s.o.Clock()
		}
		s.warned = false
		return
	}
	if !s.warned && ctx.Err() == nil {
		s.o.Logger.Warn("no checkpoint can be written to the archive; trying again", "error", err)
		s.warned = true
	}
}

// points asks every node how far the groups are that it leads. whole says that nobody
// lacks.
func (s *Service) points(ctx context.Context) (groups []archive.GroupPoint, whole bool) {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	want, err := s.o.Replicas.Placed()
	if err != nil {
		return nil, false
	}
	want = append(want, rookery.SystemGroup)
	nodes, err := s.o.Replicas.Members()
	if err != nil {
		return nil, false
	}
	answers := make(chan []peers.ArchivePosition, len(nodes))
	for _, n := range nodes {
		go func() {
			a, _ := peers.ArchiveNow.Ask(ctx, s.o.Peers, n.ID, peers.ArchiveOrder{Tell: true})
			answers <- a // none from a node that does not answer: it need not lead any
		}()
	}
	best := map[rookery.GroupID]archive.GroupPoint{}
	lacks := func(id rookery.GroupID) bool { return best[id].Complete == 0 }
	for range nodes {
		for _, p := range <-answers {
			if p.Complete > best[p.Group].Complete {
				best[p.Group] = archive.GroupPoint{Group: p.Group, Upto: p.Upto, Complete: p.Complete}
			}
		}
		if !slices.ContainsFunc(want, lacks) {
			break
		}
	}
	for _, id := range want {
		if lacks(id) {
			return nil, false
		}
		groups = append(groups, best[id])
	}
	slices.SortFunc(groups, func(a, b archive.GroupPoint) int { return int(a.Group) - int(b.Group) })
	return groups, true
}
