package replicas

import (
	"context"
	"errors"
	"fmt"
	"io"

	"rookery"
	rlog "rookery/cluster/log"
	"rookery/cmd/node/peers"
)

// ReadLog reads an entry's bytes where they lie.
func (r *Replicas) ReadLog(_ context.Context, id rookery.GroupID, index rookery.LogIndex, term uint64, p []byte, off int64) error {
	lg, err := r.log.Group(id)
	if err != nil {
		return err
	}
	n, err := lg.ReadAt(index, term, p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return rookery.E("read log", rookery.KindDamaged, fmt.Errorf("entry %d of group %d is shorter than its record says", index, id))
	}
	return err
}

// repair fetches a damaged entry's record from another replica. KindNotFound:
// every other node has said that it has no good one; KindUnavailable: some have
// not answered.
func (r *Replicas) repair(ctx context.Context, id rookery.GroupID, index rookery.LogIndex, term uint64) ([]byte, error) {
	errs, kind, silent := []error{errors.New("no other node has it")}, rookery.KindNotFound, []rookery.NodeID(nil)
	for _, to := range r.opts.Peers.Others() {
		b, err := r.Record(ctx, to, peers.At{Group: id, Index: index, Term: term})
		if err == nil {
			return b, nil
		}
		errs = append(errs, err)
		if !rookery.Is(err, rookery.KindNotFound) && !rookery.Is(err, rookery.KindDamaged) {
			kind, silent = rookery.KindUnavailable, append(silent, to)
		}
	}
	if len(silent) > 0 {
		errs[0] = fmt.Errorf("nodes %v could not be asked and may have it", silent)
	}
	return nil, rookery.E("repair log", kind, errors.Join(errs...))
}

// otherLogs are the logs of the other nodes.
type otherLogs struct{ *Replicas }

// Entry implements log.Peers.
func (o otherLogs) Entry(ctx context.Context, id rookery.GroupID, index rookery.LogIndex, term uint64) ([]byte, error) {
	return o.repair(ctx, id, index, term)
}

// ReadCommitted hands on committed entries of a group that runs here, from the
// log of this node or of another: what an installed image skipped is there.
func (r *Replicas) ReadCommitted(ctx context.Context, id rookery.GroupID, in rlog.Range, each func(rlog.Entry) error) error {
	group := r.raft.Group(id)
	if group == nil {
		return NotHere(id)
	}
	if applied, _ := group.Machine().Applied(); applied < in.To {
		return rookery.E("read range", rookery.KindUnavailable,
			fmt.Errorf("group %d: entry %d is not known to be committed; this node is at %d", id, in.To, applied))
	}
	lg, err := r.log.Group(id)
	if err != nil {
		return err
	}
	return lg.Read(ctx, in, otherLogs{r}, each)
}

// recover pulls a group's image from a replica that is at least at an index.
func (r *Replicas) recover(ctx context.Context, id rookery.GroupID, atLeast rookery.LogIndex) (io.ReadCloser, error) {
	if len(r.opts.Peers.Others()) == 0 {
		return nil, rookery.E("recover group", rookery.KindDamaged,
			errors.New("this node held the only copy; bring its data directory back from a backup"))
	}
	errs := []error{errors.New("no other replica can give the group's state")}
	for _, to := range r.opts.Peers.Others() {
		r, err := peers.Image.Open(ctx, r.opts.Peers, to, peers.At{Group: id, Index: atLeast})
		if err == nil {
			return r, nil
		}
		errs = append(errs, err)
	}
	return nil, rookery.E("recover group", rookery.KindUnavailable, errors.Join(errs...))
}

func (r *Replicas) writeImage(q peers.At, w io.Writer) error {
	group := r.raft.Group(q.Group)
	if group == nil {
		return rookery.E("give image", rookery.KindUnavailable, fmt.Errorf("group %d does not run on this node", q.Group))
	}
	image, err := group.Machine().Snapshot()
	if err != nil {
		return err
	}
	defer image.Close()
	if image.Index() < q.Index {
		return rookery.E("give image", rookery.KindUnavailable,
			fmt.Errorf("this node is at entry %d of group %d, not yet at %d", image.Index(), q.Group, q.Index))
	}
	_, err = image.WriteTo(w)
	return err
}

// ReadRemote reads an entry's bytes in the log of another replica. A body waits
// for it, so dead nodes must not hold it up.
func (r *Replicas) ReadRemote(ctx context.Context, id rookery.GroupID, index rookery.LogIndex, term uint64, p []byte, off int64) error {
	ctx, cancel := context.WithTimeout(ctx, AskWait)
	defer cancel()
	record, err := r.repair(ctx, id, index, term)
	if err != nil {
		return err
	}
	data, err := rlog.DataOf(record, id, index, term)
	if err != nil {
		return err
	}
	return within(data, p, off, id, index)
}

// ReadChecked is ReadLog of what passes the log's own check, repaired from
// another node if need be. What is packed is read so: a pack gives what it got a
// digest, and the good copies leave the other logs.
func (r *Replicas) ReadChecked(_ context.Context, id rookery.GroupID, index rookery.LogIndex, term uint64, p []byte, off int64) error {
	lg, err := r.log.Group(id)
	if err != nil {
		return err
	}
	data, err := lg.Data(index, term)
	if err != nil {
		return err
	}
	return within(data, p, off, id, index)
}

// within fills p from off of an entry's data.
func within(data, p []byte, off int64, id rookery.GroupID, index rookery.LogIndex) error {
	if off < 0 || off > int64(len(data)) || int64(len(p)) > int64(len(data))-off {
		return rookery.E("read log", rookery.KindDamaged, fmt.Errorf("entry %d of group %d is shorter than its record says", index, id))
	}
	copy(p, data[off:])
	return nil
}
