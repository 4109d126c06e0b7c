package replicas

import (
	"rookery"
	"rookery/cluster/consensus"
	"rookery/storage/mailbox"
	"rookery/storage/state"
)

// mailState is a mail group's state with its machine.
func (r *Replicas) mailState(id rookery.GroupID) (*state.Group, error) {
	return r.state.Group(id, func(sg *state.Group) state.Machine {
		return mailbox.New(r.opts.Mail(id))(sg)
	})
}

// Erase frees what this disk holds of a group that has left this node and does
// not run. What stays is where its log ended, its term and its vote.
func (r *Replicas) Erase(id rookery.GroupID) error {
	sg, err := r.mailState(id)
	if err != nil {
		return err
	}
	return r.raft.Forget(id, sg, func() error {
		if err := r.step("marked"); err != nil {
			return err
		}
		if err := r.state.Erase(id); err != nil {
			return err
		}
		if err := r.step("state erased"); err != nil {
			return err
		}
		lg, err := r.log.Group(id)
		if err == nil {
			err = lg.Erase()
		}
		if err != nil {
			return err
		}
		return r.step("log erased")
	})
}

// step lets tests cut the power between two steps of an erasure.
func (r *Replicas) step(done string) error {
	if f := r.opts.Tune.Erasing; f != nil {
		return f(done)
	}
	return nil
}

// eraseRest ends the erasures that the last life of this node left undone.
func (r *Replicas) eraseRest() {
	for id := range r.log.Stats().Groups {
		if id == rookery.SystemGroup {
			continue
		}
		if err := r.eraseHalf(id); err != nil { // before it starts it is tried again
			r.opts.Logger.Error("what is here of a group that has left this node cannot be freed yet", "group", id, "error", err)
		}
	}
}

// eraseHalf ends a group's erasure if one was begun, and has the log release
// once more what was erased: it does not remember that.
func (r *Replicas) eraseHalf(id rookery.GroupID) error {
	lg, err := r.log.Group(id)
	if err != nil {
		return nil // damaged: it says so when it starts
	}
	t, found, err := consensus.ReadTrace(lg)
	switch {
	case err != nil || !found:
		return err
	case t.Erasing:
		return r.Erase(id)
	}
	if held, err := r.Holds(id); err != nil || held {
		return err
	}
	return lg.Erase()
}

// Holds reports whether a group's replica is on this disk: it counts in the
// group's quorum until Raft has taken it out, whatever the placement wants.
func (r *Replicas) Holds(id rookery.GroupID) (bool, error) {
	if r.log.Stats().Groups[id].Last > 0 {
		return true, nil
	}
	return r.state.Holds(id)
}

// HoldsBodies reports whether the log here holds bodies of a mail group that
// are nowhere else, whether or not the group runs.
func (r *Replicas) HoldsBodies(id rookery.GroupID) bool {
	sg, err := r.mailState(id)
	if err != nil {
		return false
	}
	bodies, err := sg.Machine().(*mailbox.Machine).Unpacked(0, 1)
	return err == nil && len(bodies) > 0
}
