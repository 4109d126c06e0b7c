package node

import (
	"context"
	"fmt"

	"rookery"
	rlog "rookery/cluster/log"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// record is a pack's as it is now.
func (b *bodies) record(group rookery.GroupID, id command.PackID) (mailbox.Pack, error) {
	m := b.node.groups.machine(group)
	if m == nil {
		return mailbox.Pack{}, away{b.node, group}.none()
	}
	return m.Pack(id)
}

// readRemote reads an entry's bytes in the log of another replica. A body waits
// for it, so dead nodes must not hold it up.
func (g *groups) readRemote(ctx context.Context, id rookery.GroupID, index rookery.LogIndex, term uint64, p []byte, off int64) error {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	record, err := g.repair(ctx, id, index, term)
	if err != nil {
		return err
	}
	data, err := rlog.DataOf(record, id, index, term)
	if err != nil {
		return err
	}
	return within(data, p, off, id, index)
}

// readChecked is readLog of what passes the log's own check, repaired from
// another node if need be. What is packed is read so: a pack gives what it got a
// digest, and the good copies leave the other logs.
func (g *groups) readChecked(_ context.Context, id rookery.GroupID, index rookery.LogIndex, term uint64, p []byte, off int64) error {
	lg, err := g.log.Group(id)
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
