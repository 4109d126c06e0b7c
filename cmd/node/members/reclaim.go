package members

import (
	"context"
	"errors"
	"time"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// reclaimEvery is how often the groups led here are searched for what nodes
// have left in them.
const reclaimEvery = 5 * time.Second

// reclaimer has the groups led here let go of what a node keeps in them and
// will never come back for: all that a removed node left, and the staged chunks
// of bodies that a living one has given up, in this life or in an earlier one,
// or that one which is away for as long as it takes to be replaced has not
// delivered. Open stages hold the log. What is dropped is a command, and a
// Deliver that comes after it is refused: no clock decides more than when to
// propose it.
type reclaimer struct {
	h      *Host
	done   map[forgot]bool              // what is known to be forgotten
	silent map[rookery.NodeID]time.Time // since when nodes are away
}

type forgot struct {
	group rookery.GroupID
	node  rookery.NodeID
}

func newReclaimer(h *Host) *reclaimer {
	return &reclaimer{h, map[forgot]bool{}, map[rookery.NodeID]time.Time{}}
}

func (f *reclaimer) run(ctx context.Context) error {
	return f.h.o.Replicas.Follow(ctx, reclaimEvery, func() {
		if err := f.reclaim(ctx); err != nil && ctx.Err() == nil {
			f.h.o.Logger.Warn("what nodes have left in the groups led here could not all be dropped; trying again", "error", err)
		}
	})
}

func (f *reclaimer) reclaim(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	nodes, err := f.h.r.system.Nodes()
	if err != nil {
		return err
	}
	removed := map[rookery.NodeID]bool{}
	for _, x := range nodes {
		f.noteLife(x.ID)
		if !x.Member() && x.ID != f.h.o.ID.Node {
			removed[x.ID] = true
		}
	}
	errs := []error{f.forgetMembers(ctx, removed)}
	for _, id := range f.h.o.Replicas.Here() {
		m := f.h.o.Replicas.Machine(id)
		if m != nil && f.h.o.Replicas.Leads(id) {
			errs = append(errs, f.forgetNodes(ctx, id, m, removed), f.dropStages(ctx, id, m, removed))
		}
	}
	return errors.Join(errs...)
}

// noteLife notes whether a node is there.
func (f *reclaimer) noteLife(id rookery.NodeID) {
	if f.h.o.Lives.Alive(id) {
		delete(f.silent, id)
	} else if f.silent[id].IsZero() {
		f.silent[id] = time.Now()
	}
}

// away reports whether a node has been away for so long that others replace it.
func (f *reclaimer) away(id rookery.NodeID) bool {
	since := f.silent[id]
	return !since.IsZero() && time.Since(since) >= f.h.r.Policy().DeadAfter
}

// forgetMembers forgets removed nodes in the system group.
func (f *reclaimer) forgetMembers(ctx context.Context, removed map[rookery.NodeID]bool) error {
	if !f.h.o.Replicas.Leads(rookery.SystemGroup) {
		return nil
	}
	return f.forget(ctx, rookery.SystemGroup, removed, f.h.r.system.Forgot,
		func(id rookery.NodeID) command.Command { return &command.ForgetMember{Node: id} })
}

// forgetNodes forgets removed nodes in a mail group.
func (f *reclaimer) forgetNodes(ctx context.Context, group rookery.GroupID, m *mailbox.Machine, removed map[rookery.NodeID]bool) error {
	return f.forget(ctx, group, removed, m.Forgot,
		func(id rookery.NodeID) command.Command { return &command.ForgetNode{Node: id} })
}

func (f *reclaimer) forget(ctx context.Context, group rookery.GroupID, removed map[rookery.NodeID]bool,
	forgotten func(rookery.NodeID) (bool, error), cmd func(rookery.NodeID) command.Command) error {
	for id := range removed {
		if f.done[forgot{group, id}] {
			continue
		}
		done, err := forgotten(id)
		if err == nil && !done {
			err = f.h.o.Replicas.Commit(ctx, group, cmd(id))
		}
		if err != nil {
			return err
		}
		if !done {
			f.h.o.Logger.Info("a group has forgotten a node that was removed", "group", group, "node", id)
		}
		f.done[forgot{group, id}] = true
	}
	return nil
}
