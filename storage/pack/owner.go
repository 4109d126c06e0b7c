package pack

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"rookery"
	"rookery/storage/blob"
)

// A cluster claims the place where its packs lie by an object of its name, so
// that no other cluster in the same place takes them for orphans. Packs
// themselves do not say whose they are.
const owners = "c/"

// Claim notes that a cluster keeps its packs in the store. It is idempotent.
func Claim(ctx context.Context, s blob.Store, cluster string) error {
	key := owners + strings.ToLower(cluster)
	_, err := s.Stat(ctx, key)
	if !rookery.Is(err, rookery.KindNotFound) {
		return err
	}
	text := "The packs beside this object belong to Rookery cluster " + cluster + ".\n"
	return s.Put(ctx, key, strings.NewReader(text), int64(len(text)), blob.PutOptions{})
}

// Owners are the clusters that keep their packs in the store, at most 11 of
// them, by their ids.
func Owners(ctx context.Context, s blob.Store) (all []string, err error) {
	err = s.List(ctx, owners, func(i blob.Info) error {
		all = append(all, strings.TrimPrefix(i.Key, owners))
		if len(all) > 10 {
			return io.EOF
		}
		return nil
	})
	if err == io.EOF {
		err = nil
	}
	return all, err
}

// alone refuses with KindConflict where the store is not claimed by this
// cluster and by no other.
func alone(ctx context.Context, s blob.Store, cluster string) error {
	all, err := Owners(ctx, s)
	if err != nil {
		return err
	}
	mine := strings.ToLower(cluster)
	if !slices.Contains(all, mine) {
		return rookery.E("sweep", rookery.KindUnavailable,
			fmt.Errorf("the store does not show this cluster's claim, the object %s%s, yet; try again in a minute", owners, mine))
	}
	if len(all) > 1 {
		return rookery.E("sweep", rookery.KindConflict, fmt.Errorf(
			"clusters %s keep their packs in the same place, and none can tell which are its own: nothing is deleted. Give each a "+
				"bucket; where a cluster is gone for good, delete its object %sCLUSTER", strings.Join(all, ", "), owners))
	}
	return nil
}
