package members

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"rookery"
	"rookery/cluster/placement"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/replicas"
	"rookery/cmd/node/settings"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/system"
)

// ErrRemoved is in the chain when the node was removed from the cluster, or is
// of a generation that was recovered without it. It never serves again.
var ErrRemoved = errors.New("this node was removed from the cluster")

// Removed is the error of a node that was removed, as by says.
func Removed(id rookery.NodeID, dataDir, by string) error {
	return rookery.E("serve", rookery.KindDenied,
		fmt.Errorf("%w (node %s, says %s); what it held is on the others: keep %s away from the cluster, or remove it and join as a new node",
			ErrRemoved, id, by, dataDir))
}

// Options are what the registry is read and written with.
type Options struct {
	// Config is the node's file: its name, its zone and its disk's limits.
	Config   settings.Node
	ID       datadir.Identity
	Dir      datadir.Dir
	Replicas *replicas.Replicas
	Peers    *peers.Peers
	Lives    *peers.Liveness
	Reports  *peers.Reports
	Clocks   *peers.Clocks
	// TenantKeys are given to nodes that join.
	TenantKeys *keys.Keyring
	// QuorumWait is how long a start waits for a quorum.
	QuorumWait time.Duration
	// End hears why this node cannot go on.
	End    func(error)
	Logger *slog.Logger
	Clock  func() time.Time
}

// Registry is the cluster's list of nodes and groups, as this node reads and
// changes it.
type Registry struct {
	o      Options
	id     datadir.Identity
	system *system.Machine
	policy atomic.Pointer[placement.Policy]

	// current is that since the start the placement was read behind a barrier
	// once. Enter sets it, then the Host that follows the placement.
	current bool
}

// New makes the registry over groups that run.
func New(o Options) *Registry {
	r := &Registry{o: o, id: o.ID, system: o.Replicas.System()}
	p := placement.Default()
	r.policy.Store(&p)
	return r
}

// UsePolicy has every group placed on so many nodes, and a node replaced that is
// dead for so long; 0 is the usual.
func (r *Registry) UsePolicy(replication int, deadAfter time.Duration) {
	p := placement.Default()
	if replication > 0 {
		p.Replication = replication
	}
	if deadAfter > 0 {
		p.DeadAfter = deadAfter
	}
	r.policy.Store(&p)
}

// Policy is the placement's in force.
func (r *Registry) Policy() placement.Policy { return *r.policy.Load() }

// WarnOfKey tells an operator why the others refuse this node, where they do.
func WarnOfKey(g *replicas.Replicas, p *peers.Peers, self rookery.NodeID, logger *slog.Logger) {
	nodes, err := g.System().Nodes()
	if err != nil {
		return // said elsewhere
	}
	for _, x := range nodes {
		if x.ID == self && x.Key != p.Certificate().KeyHash() && len(system.MemberIDs(nodes)) > 1 {
			logger.Error("this node's key is not the one it registered with, and the other nodes refuse it: bring identity/node.key and " +
				"node.pem back from a copy of the directory; if they are lost, run rookery remove for this node elsewhere, and join with an " +
				"empty data directory")
		}
	}
}

// Enlist writes this node into the registry, and on the first node of a new
// cluster the groups it begins with.
func (r *Registry) Enlist(ctx context.Context) error {
	if err := replicas.RefuseOld(r.system); err != nil {
		if rookery.Is(err, rookery.KindDenied) {
			r.o.End(err)
		}
		return err
	}
	have, err := r.system.Node(r.o.ID.Node)
	if err != nil && !rookery.Is(err, rookery.KindNotFound) {
		return err
	}
	if have.State == command.NodeRemoved {
		removed := Removed(r.o.ID.Node, r.o.Config.DataDir, "its own registry")
		r.o.End(removed)
		return removed
	}
	key := r.o.Peers.Certificate().KeyHash()
	if have.Key != key || have.Address != r.o.Peers.Address() || have.Name != r.o.Config.Name ||
		have.Zone != r.o.Config.Cluster.Zone || have.Version != command.Version {
		if _, err := r.o.Replicas.ProposeSystem(ctx, &command.RegisterNode{
			Node: r.o.ID.Node, Name: r.o.Config.Name, Address: r.o.Peers.Address(), Zone: r.o.Config.Cluster.Zone,
			Version: command.Version, Key: key,
		}); err != nil {
			return err
		}
	}
	if !r.id.Created {
		return nil
	}
	// A new cluster has no older node to go back to.
	if gate, err := r.system.Gate(); err != nil || gate == 0 {
		if err := errors.Join(err, r.Finalize(ctx)); err != nil {
			return err
		}
	}
	for _, id := range append(FirstMail(), rookery.SystemGroup) {
		if _, err := r.system.Group(id); err == nil {
			continue
		}
		_, err := r.o.Replicas.ProposeSystem(ctx, &command.CreateGroup{Group: id, Members: []rookery.NodeID{r.o.ID.Node}})
		if err != nil && !rookery.Is(err, rookery.KindExists) {
			return err
		}
	}
	return nil
}

// Enter waits for the system group. A node that knows the settings from
// before starts without a quorum: what needs one is answered as temporary
// until it is back. One that has just joined has to wait for its first copy.
func (r *Registry) Enter(ctx context.Context) error {
	for {
		wait, cancel := context.WithTimeout(ctx, r.o.QuorumWait)
		err := r.o.Replicas.Ready(wait, rookery.SystemGroup)
		cancel()
		if err == nil {
			r.current = true
			return r.Enlist(ctx)
		}
		if version, _, serr := r.system.Settings(); serr == nil && version > 0 {
			r.o.Logger.Warn("the system group has no quorum; starting with the settings known before", "error", err)
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		r.o.Logger.Info("waiting for the cluster to bring its state to this node", "node", r.o.ID.Node)
	}
}
