package backups

import (
	"context"
	"fmt"
	"strings"

	"rookery"
	"rookery/storage/blob"
)

// generations begins the names of the objects that say that the cluster has begun anew
// from this archive, by the number of its generation.
const generations = "gen/"

// Begin notes in a backup store that a cluster of a generation has begun from it: what
// is left of the one before archives nothing any more.
func Begin(ctx context.Context, store blob.Store, generation uint64) error {
	text := "The cluster was brought back from this archive. Nodes of earlier generations write nothing here any more.\n"
	return store.Put(ctx, fmt.Sprintf("%s%08x", generations, generation), strings.NewReader(text), int64(len(text)), blob.PutOptions{})
}

// superseded refuses a store from which the cluster was brought back without this node.
func (s *Service) superseded(ctx context.Context, store blob.Store) error {
	mine := s.o.Generation
	return store.List(ctx, generations, func(i blob.Info) error {
		var g uint64
		if n, err := fmt.Sscanf(i.Key, generations+"%08x", &g); err != nil || n != 1 || g <= mine {
			return nil
		}
		return rookery.E("use backup", rookery.KindConflict, fmt.Errorf("the cluster was brought back elsewhere from this archive, as "+
			"generation %d, and this node is of generation %d: stop this node, and remove its data directory", g, mine))
	})
}
