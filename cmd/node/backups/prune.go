package backups

import (
	"context"
	"fmt"
	"strings"
	"time"

	"rookery"
	"rookery/backup/archive"
	"rookery/backup/retention"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/settings"
	"rookery/storage/blob"
	"rookery/storage/command"
)

// pruneEvery is how often the archive is pruned, and pruneShare how much of its bytes
// may go at once without an operator's word, in percent.
const (
	pruneEvery = 24 * time.Hour
	pruneShare = 20
)

// leftover is how old the parts of an image without a manifest have to be to go: its
// making, or its deletion, was cut off.
const leftover = 24 * time.Hour

// pruning is what a prune would delete.
type pruning struct {
	report adminapi.PruneReport
	keys   []string // manifests, then parts and segments
}

// pruneDaily prunes where this node leads the cluster, once a day.
func (s *Service) pruneDaily(ctx context.Context) {
	if !s.o.Replicas.Leads(rookery.SystemGroup) || !s.o.Settings().On() || s.store.Load() == nil {
		s.pruned = time.Time{}
		return
	}
	now := s.o.Clock()
	if s.pruned.IsZero() {
		s.pruned = now.Add(time.Hour - pruneEvery) // an hour from now
	}
	if now.Sub(s.pruned) < pruneEvery {
		return
	}
	s.pruned = now
	if _, err := s.Prune(ctx, adminapi.PruneOrder{}); err != nil {
		s.o.Logger.Error("the archive is not pruned; trying again tomorrow", "error", err)
	}
}

// Prune deletes what of the archive nothing needs any more. KindConflict: that would be
// too much to be likely.
func (s *Service) Prune(ctx context.Context, o adminapi.PruneOrder) (r adminapi.PruneReport, err error) {
	store, err := s.use()
	if err != nil {
		return r, err
	}
	p, err := s.prunable(ctx, store)
	if err != nil {
		return r, err
	}
	p.report.DryRun = o.DryRun
	s.o.Logger.Info("what nothing in the archive needs any more", "objects", p.report.Objects, "bytes", p.report.Bytes,
		"kept_objects", p.report.KeptObjects, "kept_bytes", p.report.KeptBytes, "dry_run", o.DryRun)
	all := p.report.Bytes + p.report.KeptBytes
	if !o.Force && !o.DryRun && p.report.Bytes*100 > all*pruneShare && len(p.keys) > 0 {
		return p.report, rookery.E("prune", rookery.KindConflict, fmt.Errorf("%d of the archive's %d bytes would go, more than %d %%: look at "+
			"rookery backup prune -dry-run, and say -force where that is right", p.report.Bytes, all, pruneShare))
	}
	if o.DryRun || len(p.keys) == 0 {
		return p.report, nil
	}
	return p.report, store.Delete(ctx, p.keys...)
}

// prunable says what would go.
func (s *Service) prunable(ctx context.Context, store blob.Store) (*pruning, error) {
	sizes, manifests := map[string]blob.Info{}, map[string]bool{}
	for _, prefix := range []string{"img/", "seg/"} {
		if err := store.List(ctx, prefix, func(i blob.Info) error {
			sizes[i.Key] = i
			if x, ok := archive.ParseImage(i.Key); ok {
				manifests[x.Prefix()] = true
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	p := &pruning{}
	gone := map[string]bool{}
	groups, err := groupsIn(ctx, store)
	if err != nil {
		return nil, err
	}
	for _, id := range groups {
		if err := s.pruneGroup(ctx, store, id, p, gone); err != nil {
			return nil, err
		}
	}
	now := s.o.Clock()
	for key, i := range sizes {
		dir := key[:strings.LastIndexByte(key, '/')+1]
		orphan := strings.HasPrefix(key, "img/") && !manifests[dir] && now.Sub(i.Modified) > leftover
		if !gone[key] && (gone[dir] || orphan) {
			p.keys = append(p.keys, key)
			gone[key] = true
		}
		if gone[key] {
			p.report.Objects++
			p.report.Bytes += i.Size
			continue
		}
		p.report.KeptObjects++
		p.report.KeptBytes += i.Size
	}
	return p, nil
}

// groupsIn are the groups that have images in the archive.
func groupsIn(ctx context.Context, store blob.Store) (ids []rookery.GroupID, err error) {
	images, err := archive.Images(ctx, store, 0)
	for _, i := range images {
		if len(ids) == 0 || ids[len(ids)-1] != i.Group {
			ids = append(ids, i.Group)
		}
	}
	return ids, err
}

// pruneGroup adds what of one group would go: manifests by their key and the
// directories of their parts, and segments.
func (s *Service) pruneGroup(ctx context.Context, store blob.Store, id rookery.GroupID, p *pruning, gone map[string]bool) error {
	images, err := archive.Images(ctx, store, id)
	if err != nil {
		return err
	}
	segments, err := archive.Segments(ctx, store, id)
	if err != nil {
		return err
	}
	now, err := s.o.Now() // a clock that is wrong deletes nothing
	if err != nil {
		return err
	}
	set := s.o.Settings()
	kept := retention.Decide(now, rulesOf(&set), images, segments)
	for _, x := range kept.GoneImages {
		p.report.Images++
		p.keys = append(p.keys, x.Key())
		gone[x.Key()], gone[x.Prefix()] = true, true
	}
	for _, x := range kept.GoneSegments {
		p.report.Segments++
		p.keys = append(p.keys, x.Key())
		gone[x.Key()] = true
	}
	p.report.Points += len(kept.Points)
	return nil
}

func rulesOf(set *settings.Backup) retention.Rules {
	return retention.Rules{Window: time.Duration(set.Window) * 24 * time.Hour, Daily: set.Daily, Weekly: set.Weekly, Monthly: set.Monthly,
		Yearly: set.Yearly, Zone: set.Zone()}
}

// HoldPoints has each group that this node leads keep the packs that its images name,
// for as long as the image is in the archive.
func (s *Service) HoldPoints(ctx context.Context) {
	store := s.store.Load()
	if store == nil {
		return
	}
	const failed = "the packs of an image are not held yet; trying again"
	s.o.Replicas.EachLed(ctx, failed, func(ctx context.Context, id rookery.GroupID) error { return s.holdGroup(ctx, store, id) })
}

func (s *Service) holdGroup(ctx context.Context, store blob.Store, id rookery.GroupID) error {
	m := s.o.Replicas.Machine(id)
	if m == nil {
		return nil
	}
	images, err := archive.Images(ctx, store, id)
	if err != nil {
		return err
	}
	holds, err := m.Holds()
	if err != nil {
		return err
	}
	have := map[string]bool{}
	for _, h := range holds {
		if h.Kind == command.HoldRestore {
			have[h.Name] = true
		}
	}
	for _, x := range images {
		name := holdName(&x)
		if have[name] {
			delete(have, name)
			continue
		}
		if err := s.o.Replicas.Commit(ctx, id, &command.Hold{Kind: command.HoldRestore, Name: name, From: x.Time, To: x.Time,
			Reason: "an image in the archive"}); err != nil {
			return err
		}
	}
	for name := range have {
		// A listing may be old: only what the store says is not there is let go.
		if _, err := store.Stat(ctx, name); !rookery.Is(err, rookery.KindNotFound) {
			continue
		}
		if err := s.o.Replicas.Commit(ctx, id, &command.Release{Kind: command.HoldRestore, Name: name}); err != nil {
			return err
		}
	}
	return nil
}

// holdName is the hold of an image: its manifest's key.
func holdName(x *archive.ImageInfo) string { return x.Key() }
