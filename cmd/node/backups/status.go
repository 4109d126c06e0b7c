package backups

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"rookery"
	"rookery/backup/archive"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/backups/figures"
	"rookery/cmd/node/peers"
)

// askWait bounds a node's answer, nowWait one for which it archives first.
const (
	askWait = 5 * time.Second
	nowWait = 2 * time.Minute
)

// archiveHere answers another node, or this one.
func (s *Service) archiveHere(ctx context.Context, _ rookery.NodeID, o peers.ArchiveOrder) ([]peers.ArchivePosition, error) {
	s.mu.Lock()
	groups := make([]*group, 0, len(s.groups))
	for _, g := range s.groups {
		groups = append(groups, g)
	}
	s.mu.Unlock()
	slices.SortFunc(groups, func(a, b *group) int { return int(a.id) - int(b.id) })
	out := make([]peers.ArchivePosition, len(groups))
	var wg sync.WaitGroup
	for i, g := range groups {
		wg.Go(func() { out[i] = s.position(ctx, g, !o.Tell) })
	}
	wg.Wait()
	return out, nil
}

// position is how far a group is, after it was archived where now says so.
func (s *Service) position(ctx context.Context, g *group, now bool) (p peers.ArchivePosition) {
	p.Group = g.id
	if now {
		done := make(chan error, 1)
		select {
		case g.now <- done:
			select {
			case err := <-done:
				if err != nil {
					p.Error = err.Error()
				}
			case <-ctx.Done():
				p.Error = "it takes longer; it goes on by itself"
			}
		case <-g.ended:
			p.Error = "another node leads the group by now; try again"
		case <-ctx.Done():
			p.Error = "it is busy with the archive; try again"
		}
	}
	s.mu.Lock()
	if p.Error == "" {
		p.Error = g.failed
	}
	s.mu.Unlock()
	if at := g.at.Load(); at != nil {
		figures.Fill(&p, at, s.o.Clock())
	}
	return p
}

// Status tells how far the archive of every group is.
func (s *Service) Status(ctx context.Context) (adminapi.BackupStatus, error) {
	a, _, err := s.ask(ctx, peers.ArchiveOrder{Tell: true}, askWait)
	return a, err
}

// ArchiveNow archives everything up to now.
func (s *Service) ArchiveNow(ctx context.Context) (a adminapi.BackupStatus, err error) {
	if _, err := s.use(); err != nil {
		return a, err
	}
	a, behind, err := s.ask(ctx, peers.ArchiveOrder{}, nowWait)
	if err == nil && len(behind) > 0 {
		err = rookery.E("archive", rookery.KindUnavailable, errors.New(strings.Join(behind, "; ")))
	}
	return a, err
}

// ask asks all nodes about the groups that they lead. behind says which groups are not
// archived, and why.
func (s *Service) ask(ctx context.Context, o peers.ArchiveOrder, wait time.Duration) (a adminapi.BackupStatus, behind []string, err error) {
	set := s.o.Settings()
	a = adminapi.BackupStatus{On: set.On(), WindowDays: int(set.Window), Groups: []adminapi.BackupGroup{}, Problems: []string{}}
	if !a.On {
		return a, nil, nil
	}
	if now, err := s.use(); err != nil {
		a.Problems = append(a.Problems, err.Error())
	} else {
		a.Store = now.where
	}
	nodes, err := s.o.Replicas.Members()
	if err != nil {
		return a, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	answers, errs := make([][]peers.ArchivePosition, len(nodes)), make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() { answers[i], errs[i] = peers.ArchiveNow.Ask(ctx, s.o.Peers, n.ID, o) })
	}
	wg.Wait()
	for i, n := range nodes {
		for _, p := range answers[i] {
			a.Groups = append(a.Groups, figures.Group(n.Name, &p))
		}
	}
	slices.SortFunc(a.Groups, func(x, y adminapi.BackupGroup) int { return int(x.Group) - int(y.Group) })
	behind, err = s.behindNow(&a, errs)
	a.Complete = figures.Complete(a.Groups, len(behind) == 0)
	a.Problems = append(append(a.Problems, behind...), figures.Problems(&a)...)
	return a, behind, err
}

// behindNow says which groups are not archived.
func (s *Service) behindNow(a *adminapi.BackupStatus, errs []error) (behind []string, err error) {
	groups, err := s.o.Replicas.Placed()
	if err != nil {
		return nil, err
	}
	told := map[rookery.GroupID]bool{}
	for _, g := range a.Groups {
		told[g.Group] = true
		if g.Error != "" {
			behind = append(behind, fmt.Sprintf("group %d is not archived: %s", g.Group, g.Error))
		}
	}
	for _, id := range append(groups, rookery.SystemGroup) {
		if !told[id] {
			why := errors.Join(errs...)
			if why == nil {
				why = errors.New("no node leads it, or the one that does has only just begun to")
			}
			behind = append(behind, fmt.Sprintf("nobody tells how far the archive of group %d is: %v", id, why))
		}
	}
	return behind, nil
}

// Troubles says what is wrong with the archive of groups that this node leads, or keeps
// it from the store.
func (s *Service) Troubles() (all []string) {
	if why := s.failed.Load(); why != nil {
		all = append(all, *why)
	}
	if why := s.keyless.Load(); why != nil && *why != "" {
		all = append(all, *why)
	}
	told, err := s.archiveHere(context.Background(), "", peers.ArchiveOrder{Tell: true})
	if err != nil {
		return append(all, err.Error())
	}
	var a adminapi.BackupStatus
	for _, p := range told {
		g := figures.Group("", &p)
		if a.Groups = append(a.Groups, g); g.Error != "" {
			all = append(all, fmt.Sprintf("group %d is not archived: %s", g.Group, g.Error))
		}
	}
	return append(all, figures.Problems(&a)...)
}

// List lists what the archive has.
func (s *Service) List(ctx context.Context) (l adminapi.BackupList, err error) {
	store, err := s.use()
	if err != nil {
		return l, err
	}
	l.Images = []adminapi.BackupImage{}
	images, err := archive.Images(ctx, store, 0)
	if err != nil {
		return l, err
	}
	groups := map[rookery.GroupID]bool{}
	for _, i := range images {
		groups[i.Group] = true
		l.Images = append(l.Images, adminapi.BackupImage{Group: i.Group, Index: uint64(i.Index), Time: time.Unix(0, i.Time).UTC()})
	}
	for id := range groups {
		all, err := archive.Segments(ctx, store, id)
		if err != nil {
			return l, err
		}
		for _, x := range all {
			l.Segments++
			l.SegmentBytes += x.Size
		}
	}
	return l, nil
}
