package backups

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"rookery"
	"rookery/cmd/node/objects"
	"rookery/cmd/node/settings"
	"rookery/storage/blob"
	"rookery/storage/pack"
)

// opened is the backup store in use.
type opened struct {
	blob.Store
	set   settings.Store
	where string
}

// openWithin bounds the requests with which a store is tried.
const openWithin = 30 * time.Second

// open follows the settings: it opens the store that they name, after it has made sure
// that it is no other cluster's.
func (s *Service) open(ctx context.Context) {
	set := s.o.Settings()
	now := s.store.Load()
	mib(s.limit, set.MiBPerSecond)
	if !set.On() {
		if now != nil {
			s.store.Store(nil)
			objects.Close(now.Store)
		}
		s.failed.Store(nil)
		return
	}
	want := set.Store()
	if now != nil && now.set == want {
		return
	}
	next, err := s.claim(ctx, want)
	if err != nil {
		why := err.Error()
		if old := s.failed.Swap(&why); old == nil || *old != why {
			s.o.Logger.Error("the backup store cannot be used; nothing is archived", "error", err)
		}
		return
	}
	s.failed.Store(nil)
	s.store.Store(next)
	if now != nil {
		objects.Close(now.Store)
	}
}

// fence gives the store up where the cluster has begun anew from it without this node.
func (s *Service) fence(ctx context.Context) {
	now := s.store.Load()
	if now == nil {
		return
	}
	if err := s.superseded(ctx, now); rookery.Is(err, rookery.KindConflict) {
		why := err.Error()
		s.failed.Store(&why)
		s.store.Store(nil)
		s.o.Logger.Error("nothing is archived any more", "error", err)
		objects.Close(now.Store)
	}
}

// claim opens a store, and takes it for this cluster where it is nobody's.
func (s *Service) claim(ctx context.Context, set settings.Store) (*opened, error) {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	if live := s.o.LiveSettings(); set.Kind == "dir" && live.Kind == "dir" &&
		settings.Overlap(objects.Path(&set, s.o.DataDir), objects.Path(&live, s.o.DataDir)) {
		return nil, rookery.E("open backup store", rookery.KindInvalid,
			fmt.Errorf("backup.path is the store that it is to save, or one lies in the other: %s; name another", set.Path))
	}
	inner, err := objects.OpenStore(&set, s.o.DataDir, s.o.Logger)
	if err != nil {
		return nil, err
	}
	if s.o.Around != nil {
		inner = s.o.Around(inner)
	}
	inner = objects.Metered{Inner: inner, Note: s.asked.Note}
	owners, err := pack.Owners(ctx, inner)
	if err == nil {
		for _, id := range owners {
			if id != strings.ToLower(s.o.Cluster) {
				err = rookery.E("open backup store", rookery.KindConflict, fmt.Errorf("it is the backup of cluster %s, or its store of "+
					"messages: give this cluster another place; where that cluster is gone for good, delete the object c/%s", id, id))
			}
		}
	}
	if err == nil {
		err = s.superseded(ctx, inner)
	}
	if err == nil && len(owners) == 0 {
		err = pack.Claim(ctx, inner, s.o.Cluster)
	}
	if err != nil {
		return nil, errors.Join(err, objects.Close(inner))
	}
	where := set.Kind + " " + objects.Path(&set, s.o.DataDir)
	if set.Kind == "s3" {
		where = set.Endpoint + "/" + set.Bucket
	}
	return &opened{Store: throttled{inner, s.limit}, set: set, where: where}, nil
}

// use is the store in use. KindUnavailable: there is none.
func (s *Service) use() (*opened, error) {
	if now := s.store.Load(); now != nil {
		return now, nil
	}
	set := s.o.Settings()
	err := errors.New("there is no backup: set backup.kind and its keys, see rookery config get backup")
	if set.On() {
		err = errors.New("the backup store is not open yet; try again in a moment")
	}
	if why := s.failed.Load(); why != nil {
		err = errors.New(*why)
	}
	return nil, rookery.E("use backup", rookery.KindUnavailable, err)
}
