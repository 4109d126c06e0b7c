package node

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"

	"rookery"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/inforce"
	"rookery/cmd/node/keyring"
	"rookery/cmd/node/members"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/replicas"
	"rookery/internal/durable"
	"rookery/storage/mailbox"
)

// openDir takes the data directory, which has to be a node's.
func (n *Node) openDir(ctx context.Context) error {
	if n.deps.Create {
		if err := datadir.Create(ctx, n.cfg, n.deps.FS, n.deps.Clock()); err != nil && !rookery.Is(err, rookery.KindExists) {
			return err
		}
	}
	lock, err := n.dir.Lock()
	if err != nil {
		return err
	}
	n.lock = lock
	have, err := n.dir.Exists(n.deps.FS)
	if err != nil {
		return err
	}
	if !have {
		return rookery.E("open node", rookery.KindNotFound,
			fmt.Errorf("%s is not a node's directory yet; begin a cluster with rookery init, or enter one with rookery join", n.cfg.DataDir))
	}
	return nil
}

// openIdentity reads who this node is and the keys it opens everything with.
func (n *Node) openIdentity(ctx context.Context) (err error) {
	if err := durable.MakeDir(filepath.Join(n.cfg.DataDir, "tmp")); err != nil {
		return rookery.E("open data directory", rookery.KindDenied, err)
	}
	if n.id, err = n.dir.Start(n.deps.FS); err != nil {
		return err
	}
	n.stored, err = keyring.Load(ctx, n.dir, n.cfg.Keys.Command)
	return err
}

func (n *Node) openGroups(ctx context.Context) (err error) {
	if n.peers, err = peers.Open(peers.Options{
		Config: n.cfg, ID: n.id, Network: n.deps.Network, TenantKeys: n.stored.TenantKeys(),
		Logger: n.deps.Logger, Clock: n.deps.Clock, Admit: n.hears.admit,
		Invited: n.hears.invited, Removed: n.removedBy,
	}); err != nil {
		return err
	}
	guard, err := n.peers.GuardRollback(ctx, n.ending.end)
	if err = cmp.Or(err, n.ending.why()); err != nil {
		return err
	}
	if n.groups, err = n.openReplicas(ctx); err != nil {
		return err
	}
	n.system = n.groups.System()
	members.WarnOfKey(n.groups, n.peers, n.id.Node, n.deps.Logger)
	n.questions.facts = replicas.NewQuestion(n.groups, peers.AccountFacts, askWait, n.factsHere)
	n.rings = keyring.New(n.stored, keyring.Options{
		Self: n.id.Node, DataDir: n.cfg.DataDir, Replicas: n.groups, Peers: n.peers, Logger: n.deps.Logger, TenantMoved: n.hears.keysMoved,
	})
	n.settings = inforce.New(inforce.Options{
		DataDir: n.cfg.DataDir, Self: n.id.Node, Node: n.cfg.Name, Replicas: n.groups, Peers: n.peers, Dial: dialTCP(n.deps.Network),
		Sealer: n.rings.Sealer(n.jobs.ctx), Logger: n.deps.Logger,
	})
	if err := n.peers.Listen(ctx); err != nil {
		return err
	}
	if err := n.rings.Find(ctx); err != nil {
		return err
	}
	keys, err := keyring.GossipKeys(n.rings.Settings.Keys)
	if err != nil {
		return err
	}
	if n.lives, err = n.peers.OpenLiveness(ctx, keys, func() { n.groups.Publish(replicas.TopicPlacement) }); err != nil {
		return err
	}
	n.reports = n.peers.NewReports(n.jobs.ctx, n.lives.Alive, n.report) // which say how long it is alive
	n.clocks = peers.NewClocks(n.reports, n.groups.MemberIDs)
	n.jobs.run("gossip", n.lives.Run)
	n.jobs.run("unknown members", n.peers.Meet)
	n.jobs.run("rollback guard", func(ctx context.Context) error { return guard.Run(ctx, n.lives.Alive) })
	n.registry = members.New(members.Options{
		Config: n.cfg, ID: n.id, Dir: n.dir, Replicas: n.groups, Peers: n.peers, Lives: n.lives, Reports: n.reports, Clocks: n.clocks,
		TenantKeys: n.rings.Tenant.Keys, QuorumWait: n.deps.tuning.quorumWait(), End: n.ending.end, Logger: n.deps.Logger, Clock: n.deps.Clock,
	})
	n.hears.registry.Store(n.registry)
	if err := n.registry.Enter(ctx); err != nil {
		return err
	}
	return n.groups.LearnMembers()
}

// openReplicas opens the groups of this node.
func (n *Node) openReplicas(ctx context.Context) (*replicas.Replicas, error) {
	return replicas.Open(ctx, replicas.Options{
		Config: n.cfg, ID: n.id, FS: n.deps.FS, Peers: n.peers, Logger: n.deps.Logger, Clock: n.deps.Clock, OnStall: n.deps.OnStall,
		Alive: func(id rookery.NodeID) bool { return n.lives.Alive(id) }, Ended: n.jobs.ctx.Done(), Go: n.jobs.run,
		Mail: func(id rookery.GroupID) mailbox.Events { return mailEvents{n, id} }, Led: n.hears.led, Erasing: n.hears.erasing,
		Linked: n.hears.linked, People: n.hears.peopleChanged,
		Committed: n.metrics.Committed, Waited: n.metrics.Waited, NoBarrier: noBarrier,
		Tune: replicas.Tuning{
			Log: n.deps.tuning.log, State: n.deps.tuning.state, Raft: n.deps.tuning.raft, Apply: n.deps.tuning.apply,
			Erasing: n.deps.tuning.erasing,
		},
	})
}
