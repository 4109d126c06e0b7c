package node

import (
	"context"
	"errors"
	"time"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/state"
)

// purgeEvery is how often expunged messages past their time are looked for.
const purgeEvery = 10 * time.Minute

// releaseEvery is how often the log is released on nodes that do not pack.
const releaseEvery = 30 * time.Second

// mailEvents are what one mail group's machine reports.
type mailEvents struct {
	node  *Node
	group rookery.GroupID
}

// Changed implements mailbox.Events: sessions wake.
func (e mailEvents) Changed(id rookery.AccountID, box rookery.MailboxID, modseq rookery.ModSeq) {
	if a := e.node.bodies.accounts.Load(); a != nil {
		a.Changed(id, box, modseq)
	}
}

// Unpacked implements mailbox.Events: the group's packer has work. What is
// replayed before there is one it finds by itself.
func (e mailEvents) Unpacked(_ mailbox.BodyID, bytes int64) {
	if p := e.node.bodies.packers.Load(); p != nil {
		(*p)[e.group].Unpacked(bytes)
	}
}

// Settings implements system.Events.
func (n *Node) Settings(uint64) {
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

// Nodes implements system.Events.
func (n *Node) Nodes() {}

// startJobs runs what goes on in the background until Close.
func (n *Node) startJobs() {
	ctx, cancel := context.WithCancel(context.Background())
	n.jobs = cancel
	n.job(ctx, "delivery to further groups", n.deliver.Run)
	n.job(ctx, "settings", n.followSettings)
	n.job(ctx, "purge", n.purge)
	for _, id := range n.groups.mailIDs() {
		n.job(ctx, "packer", func(ctx context.Context) error { return n.bodies.pack(ctx, id) })
	}
	n.job(ctx, "release of the log", n.releaseLog)
}

// releaseLog lets every replica's log go as far as its bodies are packed, also
// where another node leads and packs.
func (n *Node) releaseLog(ctx context.Context) error {
	tick := time.NewTicker(releaseEvery)
	defer tick.Stop()
	for {
		for _, id := range n.groups.mailIDs() {
			n.bodies.release(n.groups, id)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (n *Node) job(ctx context.Context, name string, run func(context.Context) error) {
	n.wg.Go(func() {
		if err := run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			n.deps.Logger.Error("a background job ended", "job", name, "error", err)
		}
	})
}

// followSettings puts changed settings into force. Directories, domains and
// limits of connections change at once; the rest at the next start.
func (n *Node) followSettings(ctx context.Context) error {
	for {
		select {
		case <-n.changed:
		case <-ctx.Done():
			return nil
		}
		set, version, err := n.settings.local()
		if err == nil {
			err = n.people.use(ctx, &set)
		}
		if err != nil {
			n.deps.Logger.Error("settings could not be put into force; the former ones stay", "version", version, "error", err)
			continue
		}
		n.limits.Store(&set.Limits)
		n.deps.Logger.Info("settings are in force", "version", version)
	}
}

// purge removes expunged messages whose time is over, in the groups this node
// leads.
func (n *Node) purge(ctx context.Context) error {
	tick := time.NewTicker(purgeEvery)
	defer tick.Stop()
	for {
		for _, id := range n.groups.mailIDs() {
			if n.groups.raft.Group(id).IsLeader() {
				if err := n.purgeGroup(ctx, id); err != nil && ctx.Err() == nil {
					n.deps.Logger.Warn("purge of expunged messages failed; trying again later", "group", id, "error", err)
				}
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (n *Node) purgeGroup(ctx context.Context, id rookery.GroupID) error {
	days := time.Duration(n.limits.Load().ExpungedDays)
	before := n.deps.Clock().Add(-days * 24 * time.Hour).UnixNano()
	for {
		_, result, err := n.road.Apply(ctx, id, command.Encode(&command.PurgeExpunged{Before: before}))
		if err != nil {
			return err
		}
		if err := state.ResultError("purge expunged messages", result); err != nil {
			return err
		}
		r, err := command.DecodeResult(command.TypePurgeExpunged, state.DecodeResult(result).Value)
		if err != nil || !r.(*command.PurgeResult).More {
			return err
		}
	}
}
