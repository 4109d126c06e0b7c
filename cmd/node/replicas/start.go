package replicas

import (
	"context"
	"fmt"
	"time"

	"rookery"
	"rookery/cluster/consensus"
	"rookery/storage/mailbox"
)

// Start runs a mail group here, unless it runs.
func (r *Replicas) Start(ctx context.Context, id rookery.GroupID, members []consensus.Server) error {
	if r.raft.Group(id) != nil {
		return nil
	}
	if err := r.eraseHalf(id); err != nil {
		return err
	}
	sg, err := r.mailState(id)
	if err != nil {
		return err
	}
	// All stays that is found now, until it is known what has to.
	if err := r.openLog(ctx, id); err != nil {
		return err
	}
	r.mu.Lock()
	r.mail[id] = sg.Machine().(*mailbox.Machine)
	r.mu.Unlock()
	if _, err = r.raft.Start(ctx, id, sg, members); err != nil {
		r.Hide(id)
		return err
	}
	l := r.leader(id)
	r.add(id, l)
	r.opts.Go("leadership of a group", func(ctx context.Context) error { return r.followLead(ctx, l.Group) })
	return nil
}

// followLead says when this node has come to lead a group.
func (r *Replicas) followLead(ctx context.Context, g *consensus.Group) error {
	changes, led := g.LeaderChanges(), false
	for {
		leads := g.IsLeader()
		if leads && !led {
			r.opts.Led(g.ID())
		}
		led = leads
		select {
		case _, open := <-changes:
			if !open {
				return nil
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// Hide has commands and questions go to another replica than the one here.
func (r *Replicas) Hide(id rookery.GroupID) {
	r.remove(id)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.mail, id)
}

// Stop ends a group's replica here, which was hidden.
func (r *Replicas) Stop(ctx context.Context, id rookery.GroupID) error { return r.raft.Stop(ctx, id) }

// EachLed runs step for every mail group that this node leads now, and logs
// what failed under the text: the job tries again by itself.
func (r *Replicas) EachLed(ctx context.Context, failed string, step func(context.Context, rookery.GroupID) error) {
	for _, id := range r.Here() {
		if !r.Leads(id) {
			continue
		}
		if err := step(ctx, id); err != nil && ctx.Err() == nil {
			r.opts.Logger.Warn(failed, "group", id, "error", err)
		}
	}
}

// Ready waits until a group has a leader and this node shows what it has
// agreed on.
func (r *Replicas) Ready(ctx context.Context, id rookery.GroupID) error {
	for {
		err := r.Barrier(ctx, id)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return rookery.E("start", rookery.KindUnavailable, fmt.Errorf("group %d has no leader: %w", id, err))
		}
	}
}

// Squeeze has every group on this node let go of the log that it can do without.
func (r *Replicas) Squeeze(on bool) {
	for _, id := range append(r.Here(), rookery.SystemGroup) {
		if g := r.raft.Group(id); g != nil {
			g.Squeeze(on)
		}
	}
}
