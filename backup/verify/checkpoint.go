package verify

import (
	"context"

	"rookery"
	"rookery/backup/archive"
	"rookery/backup/sealed"
)

// checkpoints opens every checkpoint, and has the newest follow the one before it.
func (r *run) checkpoints(ctx context.Context) error {
	const mend = "the cluster as a whole can be brought back to the times of other checkpoints, of which one is written every minute; " +
		"find out who changed it"
	bad := false
	for _, i := range r.points {
		x, err := r.o.Archive.Open(ctx, sealed.Checkpoint, i.Key, i.Size)
		if err == nil {
			err = x.Words(new(archive.Checkpoint))
		}
		if err == nil {
			continue
		}
		fault, err := r.fault(ctx, i.Key, err)
		switch {
		case err != nil:
			return err
		case fault.Fault == Missing: // old ones go meanwhile
		default:
			bad = true
			fault.Mend = mend
			if err := r.found(fault); err != nil {
				return err
			}
		}
	}
	if bad || len(r.points) == 0 {
		return nil
	}
	_, err := archive.Newest(ctx, r.o.Archive.Store, r.o.Archive.Cluster, r.o.Archive.Keys)
	if rookery.Is(err, rookery.KindDamaged) {
		return r.found(Finding{Key: r.points[len(r.points)-1].Key, Fault: Differs, Detail: err.Error(), Mend: mend})
	}
	return err
}
