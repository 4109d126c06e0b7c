package replicas

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rookery"
	"rookery/cmd/node/peers"
)

// Replicas that did not answer are asked again, for a while: whoever starts a
// group may have other groups to see to.
const (
	mendAgain  = 500 * time.Millisecond
	mendWithin = 30 * time.Second
)

// openLog opens a group's log before its Raft starts. One that is damaged is
// read whole, and what is bad in it comes from other replicas: until then this
// node may have forgotten what it acknowledged, and does not vote.
func (r *Replicas) openLog(ctx context.Context, id rookery.GroupID) error {
	_, err := r.log.Group(id)
	if !rookery.Is(err, rookery.KindDamaged) {
		return err
	}
	r.opts.Logger.Warn("the log of a group is damaged; what is bad in it is fetched from other nodes", "group", id, "damage", err)
	for until := time.Now().Add(mendWithin); ; {
		merr := r.log.Mend(ctx, id)
		if merr == nil {
			r.opts.Logger.Warn("the log of a group is whole again", "group", id)
			return nil
		}
		if !rookery.Is(merr, rookery.KindUnavailable) || len(r.opts.Peers.Others()) == 0 {
			return rookery.E("open group log", rookery.KindDamaged, fmt.Errorf(
				"%w; it cannot be mended: %w. On another node run rookery remove for this one, then remove %s here and join as a new node",
				err, merr, r.opts.Config.DataDir))
		}
		select {
		case <-time.After(mendAgain):
		case <-ctx.Done():
		}
		if ctx.Err() != nil || time.Now().After(until) {
			return rookery.E("open group log", rookery.KindUnavailable, fmt.Errorf("%w; start this node again when the others serve: %w", err, merr))
		}
	}
}

// Record asks a node for an entry's record. Where the term is not known only
// what is committed counts, which the node's state tells.
func (r *Replicas) Record(ctx context.Context, from rookery.NodeID, q peers.At) ([]byte, error) {
	if q.Term == 0 {
		a, err := peers.Applied.Ask(ctx, r.opts.Peers, from, peers.At{Group: q.Group})
		if err == nil && a.Index < q.Index {
			err = errors.New("it does not know yet whether the entry is committed")
		}
		if err != nil {
			return nil, rookery.E("ask for entry", rookery.KindUnavailable, err)
		}
	}
	a, err := peers.LogRecord.Ask(ctx, r.opts.Peers, from, q)
	return a.Data, err
}
