package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"rookery"
	"rookery/cluster/consensus"
	"rookery/cluster/placement"
	"rookery/cluster/transport"
	"rookery/cmd/node/replicas"
	"rookery/storage/command"
	"rookery/storage/system"
)

// CommandVersion is the highest version of commands this binary reads.
var CommandVersion = command.Version

// enlist writes this node into the registry, and on the first node of a new
// cluster the groups it begins with.
func (n *Node) enlist(ctx context.Context) error {
	if err := replicas.RefuseOld(n.system); err != nil {
		if rookery.Is(err, rookery.KindDenied) {
			n.over.end(err)
		}
		return err
	}
	have, err := n.system.Node(n.id.Node)
	if err != nil && !rookery.Is(err, rookery.KindNotFound) {
		return err
	}
	if have.State == command.NodeRemoved {
		n.over.end(n.removedError("its own registry"))
		return n.over.why()
	}
	key := n.peers.Certificate().KeyHash()
	if have.Key != key || have.Address != n.peers.Address() || have.Name != n.cfg.Name || have.Zone != n.cfg.Cluster.Zone || have.Version != CommandVersion {
		if _, err := n.groups.ProposeSystem(ctx, &command.RegisterNode{
			Node: n.id.Node, Name: n.cfg.Name, Address: n.peers.Address(), Zone: n.cfg.Cluster.Zone, Version: CommandVersion, Key: key,
		}); err != nil {
			return err
		}
	}
	if !n.id.Created {
		return nil
	}
	// A new cluster has no older node to go back to.
	if gate, err := n.system.Gate(); err != nil || gate == 0 {
		if err := errors.Join(err, n.finalize(ctx)); err != nil {
			return err
		}
	}
	for _, id := range append(firstMail(), rookery.SystemGroup) {
		if _, err := n.system.Group(id); err == nil {
			continue
		}
		_, err := n.groups.ProposeSystem(ctx, &command.CreateGroup{Group: id, Members: []rookery.NodeID{n.id.Node}})
		if err != nil && !rookery.Is(err, rookery.KindExists) {
			return err
		}
	}
	return nil
}

// startPlaced starts the mail groups that are placed on this node, and those
// whose replicas are still here: a group that was moved off while this node was
// down may count its vote until the move is confirmed. A group that this node
// founds is begun here.
func (n *Node) startPlaced(ctx context.Context) error {
	placed, err := n.system.Groups()
	if err != nil {
		return err
	}
	for _, p := range placed {
		founds := n.founds(p)
		if p.Group == rookery.SystemGroup || p.Void || n.full.Load() && !n.drains(p.Group) {
			continue
		}
		if !founds && !slices.Contains(p.Members, n.id.Node) {
			n.startLeaving(ctx, p)
			continue
		}
		var founders []consensus.Server
		if founds {
			founders = []consensus.Server{replicas.Server(n.id.Node)}
		}
		if err := n.groups.Start(ctx, p.Group, founders); err != nil {
			return err
		}
		n.objects.AddPacker(p.Group)
	}
	return nil
}

// startLeaving starts a group that is not placed here any more and whose
// replica may still count. One that cannot start is no reason to end: it is
// about to leave.
func (n *Node) startLeaving(ctx context.Context, p system.GroupPlacement) {
	if n.current && n.left(p) || n.groups.Group(p.Group) != nil {
		return
	}
	held, err := n.groups.Holds(p.Group)
	if err == nil && held {
		err = n.groups.Start(ctx, p.Group, nil)
	}
	if err != nil {
		n.deps.Logger.Error("a group that moves away from this node cannot be started", "group", p.Group, "error", err)
	} else if held {
		n.objects.AddPacker(p.Group)
	}
}

// clusterEvery is how often what failed before is tried again.
const clusterEvery = 10 * time.Second

// followCluster keeps the mesh and the groups of this node up with the
// registry and the placement.
func (n *Node) followCluster(ctx context.Context) error {
	return n.groups.Follow(ctx, clusterEvery, func() {
		if err := n.enlist(ctx); err != nil && ctx.Err() == nil {
			n.deps.Logger.Warn("this node could not be written into the registry yet", "error", err)
		}
		if err := n.groups.LearnMembers(); err != nil {
			n.deps.Logger.Error("the registry of nodes cannot be read", "error", err)
		}
		if err := n.stopFull(ctx); err != nil && ctx.Err() == nil {
			n.deps.Logger.Error("a group did not stop in order on a full disk", "error", err)
		}
		if err := n.startPlaced(ctx); err != nil {
			n.deps.Logger.Error("a group cannot be started on this node", "error", err)
		}
		if err := n.onward.leave(); err != nil {
			n.deps.Logger.Error("the placement of groups cannot be read", "error", err)
		}
		if err := n.stopLeft(ctx); err != nil && ctx.Err() == nil {
			n.deps.Logger.Error("a group that has left this node did not stop in order", "error", err)
		}
		if err := n.eraseLeft(ctx); err != nil && ctx.Err() == nil {
			n.deps.Logger.Error("what is here of a group that has left this node cannot be freed; trying again", "error", err)
		}
	}, replicas.TopicPlacement)
}

// MintToken makes a token with which one node may join within a time, and the
// addresses to give along with it.
func (n *Node) MintToken(ctx context.Context, valid time.Duration) (token string, addresses []string, err error) {
	ident := n.peers.Certificate()
	t := transport.MintToken(ident.Cluster, ident.Issuer())
	now, err := n.clocks.Now()
	if err != nil && n.clocks.Skew() == 0 {
		now, err = n.deps.Clock(), nil // too few nodes say what time it is: the token is how more come
	}
	if err == nil {
		_, err = n.groups.ProposeSystem(ctx, &command.Invite{ID: t.ID, Hash: t.Hash(), Expires: now.Add(valid).UnixNano()})
	}
	if err != nil {
		return "", nil, err
	}
	for _, s := range n.peers.Seeds() {
		addresses = append(addresses, s.Address)
	}
	return t.Text(), addresses, nil
}

// setState drains a node, makes it active again, or removes it for ever. It is
// named by its name, where only one has it, or its id. When it returns, this
// node shows the state: who drains asks next how far that is.
func (n *Node) setState(ctx context.Context, name string, to command.NodeState) error {
	nodes, err := n.system.Nodes()
	if err != nil {
		return err
	}
	var found []rookery.NodeID
	for _, x := range nodes {
		if string(x.ID) == name || x.Name == name && x.Member() {
			found = append(found, x.ID)
		}
	}
	switch len(found) {
	case 0:
		return rookery.E("change node", rookery.KindNotFound, fmt.Errorf("there is no node %q; see: rookery status", name))
	case 1:
		if to == command.NodeRemoved {
			if err := n.removable(ctx, found[0]); err != nil {
				return err
			}
		}
		set := &command.SetNodeState{Node: found[0], State: to}
		if to == command.NodeRemoved && found[0] == n.id.Node { // whom nobody tells
			_, err := n.groups.ProposeSystem(ctx, set)
			return err
		}
		return n.groups.Commit(ctx, rookery.SystemGroup, set)
	}
	return rookery.E("change node", rookery.KindConflict, fmt.Errorf("several nodes are called %q; name one by its id: %v", name, found))
}

// removable refuses a removal that would leave a group without a majority of
// nodes that live. The registry checks the same without knowing who lives.
func (n *Node) removable(ctx context.Context, id rookery.NodeID) error {
	nodes, err := placer{n}.Nodes(ctx)
	if err != nil {
		return err
	}
	groups, err := placer{n}.Placements(ctx)
	if err != nil {
		return err
	}
	groups = slices.DeleteFunc(groups, func(g placement.Placement) bool {
		p, err := n.system.Group(g.Group)
		return err == nil && p.Awaits(id) // empty, and void without the node
	})
	return placement.Removable(id, nodes, groups)
}
