package replicas

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"rookery"
	rlog "rookery/cluster/log"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// fetchesAtOnce bounds the entries, of at most 1 MiB each, that are fetched at
// once for one group. An outage of the object store leaves hundreds of
// thousands: one after the other, each would wait for its own round trip and
// its own sync of the log.
const fetchesAtOnce = 16

// FetchBodies makes every unpacked body that an installed image speaks of
// durable here before the installation counts: the bodies lie in entries that
// this node never got. What is here already is not fetched again.
func (r *Replicas) FetchBodies(ctx context.Context, id rookery.GroupID) error {
	m := r.Machine(id)
	if m == nil {
		return nil
	}
	lg, err := r.log.Group(id)
	if err != nil {
		return err
	}
	work, each := errgroup.WithContext(ctx)
	work.SetLimit(fetchesAtOnce)
	for from, more := command.BodyID(0), true; more && each.Err() == nil; {
		bodies, err := m.Unpacked(from, 256)
		if err != nil {
			work.Go(func() error { return err })
			break
		}
		for _, b := range bodies {
			from = b.ID + 1
			for _, p := range b.Log {
				if !lg.Has(p.Index, p.Term) {
					work.Go(func() error { return r.fetchRecord(each, id, lg, p) })
				}
			}
		}
		more = len(bodies) == 256
	}
	if err := work.Wait(); err != nil {
		return err
	}
	return ctx.Err() // where nobody waits any more, not all of them were asked for
}

func (r *Replicas) fetchRecord(ctx context.Context, id rookery.GroupID, lg *rlog.Group, p mailbox.LogPiece) error {
	if err := ctx.Err(); err != nil { // another failed, or the group closes
		return err
	}
	return lg.Read(ctx, rlog.Range{From: p.Index, To: p.Index, Term: p.Term}, otherLogs{r}, func(e rlog.Entry) error {
		return lg.PutBody(e.Index, e.Term, e.Data)
	})
}

// FetchMissing completes what a crash between the installing of an image and
// the fetching of its bodies left undone.
func (r *Replicas) FetchMissing(ctx context.Context) error {
	for _, id := range r.Here() {
		for wait := time.Second; ; wait = min(2*wait, time.Minute) {
			err := r.FetchBodies(ctx, id)
			if err == nil {
				break
			}
			r.opts.Logger.Warn("bodies of a group are missing here and cannot be fetched yet", "group", id, "error", err)
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return nil
			}
		}
	}
	return nil
}
