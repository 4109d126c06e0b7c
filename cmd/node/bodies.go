package node

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"rookery"
	rlog "rookery/cluster/log"
	"rookery/cmd/node/objects"
	"rookery/cmd/node/replicas"
	"rookery/cmd/node/settings"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
)

// bodies is the node's way to message bodies: the object store, the cache in
// front of it, and the packers.
type bodies struct {
	node    *Node
	store   *objects.Store
	tried   *objects.Trial
	reader  *pack.Bodies
	cache   *pack.Cache
	packers sync.Map // of *packing by rookery.GroupID
	garbage atomic.Pointer[settings.Garbage]
	budget  *pack.Budget // of rewriting
	totals  sync.Map     // of garbageStatus by rookery.GroupID
}

// packing is a group's packer at work.
type packing struct {
	*pack.Packer
	stop context.CancelFunc
	done chan struct{} // closed when it has ended
}

func newBodies(n *Node) *bodies {
	store := new(objects.Store)
	return &bodies{node: n, store: store, tried: objects.NewTrial(store, n.cfg.DataDir, n.deps.Logger), budget: pack.NewBudget(0)}
}

func (b *bodies) open(set *settings.Store) (err error) {
	if err := b.openStore(*set); err != nil {
		return err
	}
	cache, err := pack.OpenCache(filepath.Join(b.node.cfg.DataDir, "cache"), b.node.cfg.Disk.Cache, b.node.deps.Logger)
	if err != nil {
		return err
	}
	b.cache = cache
	b.reader = pack.NewBodies(pack.BodiesOptions{
		Log: b.node.groups.ReadLog, Checked: b.node.groups.ReadChecked, Remote: b.node.groups.ReadRemote,
		Body: b.body, Pack: b.record, Store: b.store, Cache: cache, Logger: b.node.deps.Logger})
	return nil
}

func (b *bodies) openStore(set settings.Store) error {
	s, err := objects.Open(&set, b.node.cfg.DataDir, b.node.deps.Logger)
	if err == nil {
		b.store.Use(objects.Metered{Inner: b.node.deps.tuning.around(s), Note: b.node.metrics.stored}, set)
	}
	return err
}

// reopenStore follows changed settings: new keys, another endpoint or CA are
// used at once.
func (b *bodies) reopenStore(set settings.Store) error {
	if !b.store.Changed(set) {
		return nil
	}
	if !b.store.Same(set) {
		b.node.deps.Logger.Warn("the settings name another object store: it is used when this node starts again; copy the objects there before")
		return nil
	}
	return b.openStore(set)
}

// body is a body's record as it is now.
func (b *bodies) body(group rookery.GroupID, id mailbox.BodyID) (mailbox.Body, error) {
	m := b.node.groups.Machine(group)
	if m == nil {
		return mailbox.Body{}, rookery.E("find body", rookery.KindUnavailable, fmt.Errorf("group %d does not run on this node", group))
	}
	return m.Body(id)
}

// deadFor is how long a dead pack stays, so that readers of an older view end.
const deadFor = time.Hour

// addPacker gives a group that runs here its packer, unless it has one.
func (b *bodies) addPacker(g *replicas.Replicas, id rookery.GroupID) {
	if _, have := b.packers.Load(id); have {
		return
	}
	p := pack.NewPacker(b.node.deps.tuning.pack(pack.Options{
		Group: id, Source: g.Machine(id), Log: g.ReadChecked, Store: b.store, Propose: g.Commit, Logger: b.node.deps.Logger,
		Packed:    func() { b.release(g, id) },
		Deletable: b.deletable(id),
		Clock:     b.packTime(g.Machine(id)), Age: func() (time.Time, error) { return b.node.jobTime(id) }, Repack: b.repack, Budget: b.budget,
	}))
	ctx, stop := context.WithCancel(b.node.jobs)
	w := &packing{p, stop, make(chan struct{})}
	b.packers.Store(id, w)
	b.node.job("packer", func(context.Context) error {
		defer close(w.done)
		defer stop()
		return b.pack(ctx, id, p)
	})
}

// removePacker ends a group's packer and waits for it.
func (b *bodies) removePacker(id rookery.GroupID) {
	if w, have := b.packers.LoadAndDelete(id); have {
		w.(*packing).stop()
		<-w.(*packing).done
	}
}

// release lets the log recycle what lies below the oldest unpacked body.
func (b *bodies) release(g *replicas.Replicas, id rookery.GroupID) {
	m, r := g.Machine(id), g.Group(id)
	if m == nil || r == nil {
		return // it has just left
	}
	floor, err := pack.Floor(m, func() rookery.LogIndex {
		applied, _ := r.Machine().Applied()
		return applied
	})
	if err == nil {
		var l *rlog.Group
		if l, err = g.Log().Group(id); err == nil {
			err = l.SetFloor(rlog.BodiesFloor, floor)
		}
	}
	if err != nil {
		b.node.deps.Logger.Warn("the log cannot be released; it grows until this works", "group", id, "error", err)
	}
}

// pack moves the bodies of one group into the object store while this node
// leads it.
func (b *bodies) pack(ctx context.Context, id rookery.GroupID, p *pack.Packer) error {
	g := b.node.groups.Group(id)
	for g != nil && ctx.Err() == nil {
		// The channel is asked for first, so that no change is missed.
		changes := g.LeaderChanges()
		if !g.IsLeader() {
			select {
			case <-changes:
			case <-ctx.Done():
			}
			continue
		}
		leading, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { p.Run(leading); close(done) }()
		for g.IsLeader() && ctx.Err() == nil {
			select {
			case <-changes:
			case <-ctx.Done():
			}
			changes = g.LeaderChanges()
		}
		stop()
		<-done
	}
	return nil
}

func (b *bodies) close() error {
	if b.reader != nil {
		b.reader.Close()
	}
	return b.store.Close()
}
