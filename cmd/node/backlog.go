package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/peers"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
	"rookery/storage/state"
)

// packReport is of a group that this node leads.
func (b *bodies) packReport(id rookery.GroupID) (r peers.Packing) {
	if w, ok := b.packers.Load(id); ok {
		r = packingOf(w.(*packing).Stats())
	}
	if m := b.node.groups.Machine(id); m != nil {
		if at, err := b.oldest(id, m); err == nil && !at.IsZero() {
			r.Oldest = at.UnixNano()
		}
	}
	return r
}

func packingOf(s pack.Stats) peers.Packing {
	r := peers.Packing{Unreadable: s.Unreadable}
	if s.LastError != "" {
		r.Trouble, r.Since = s.LastError, s.Failing.UnixNano()
	}
	return r
}

// oldest is when the body that waits longest came into the log; the zero time
// where none waits.
func (b *bodies) oldest(id rookery.GroupID, m *mailbox.Machine) (time.Time, error) {
	waiting, err := m.Unpacked(0, 1)
	if err != nil || len(waiting) == 0 || len(waiting[0].Log) == 0 {
		return time.Time{}, err
	}
	first := waiting[0].Log[0]
	// The envelope comes first in an entry, before the body.
	head := make([]byte, min(first.Off, 512))
	if err := b.node.groups.ReadLog(context.Background(), id, first.Index, first.Term, head, 0); err != nil {
		return time.Time{}, err
	}
	if nanos, ok := state.EntryTime(head); ok {
		return time.Unix(0, nanos), nil
	}
	return time.Time{}, nil
}

// storeTrouble tells of groups whose bodies do not get into the object store.
func (n *Node) storeTrouble(groups []adminapi.GroupStatus, reports map[rookery.NodeID]peers.Report, problem func(string, ...any)) {
	var waiting []string
	var since, oldest int64
	var why string
	var bodies int
	var bytes int64
	for _, r := range reports {
		for id, p := range r.Packing {
			if p.Unreadable > 0 {
				problem("group %d: %d bodies cannot be read from the log and are in no pack yet; see the leader's log", id, p.Unreadable)
			}
			if p.Trouble == "" {
				continue
			}
			waiting = append(waiting, fmt.Sprint(id))
			if since == 0 || p.Since < since {
				since, why = p.Since, p.Trouble
			}
			for _, g := range groups {
				if g.Group == id {
					bodies, bytes, oldest = bodies+g.Unpacked, bytes+g.Bytes, max(oldest, g.Oldest)
				}
			}
		}
	}
	if len(waiting) == 0 {
		return
	}
	slices.Sort(waiting)
	problem("object store: the bodies of groups %s wait in the logs (%d bodies, %d MiB, the oldest for %s): %s. Mail is accepted until the disk's soft limit",
		strings.Join(waiting, ", "), bodies, bytes>>20, time.Duration(oldest)*time.Second, why)
}

// waiting fills in for how long each group's oldest body has waited.
func (n *Node) waiting(groups []adminapi.GroupStatus, reports map[rookery.NodeID]peers.Report) {
	for i := range groups {
		for _, r := range reports {
			if p, ok := r.Packing[groups[i].Group]; ok && p.Oldest > 0 {
				groups[i].Oldest = max(groups[i].Oldest, int64(n.deps.Clock().Sub(time.Unix(0, p.Oldest)).Seconds()))
			}
		}
	}
}
