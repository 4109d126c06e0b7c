package members

import (
	"context"
	"fmt"
	"slices"

	"rookery"
	"rookery/cluster/placement"
	"rookery/storage/command"
)

// SetState drains a node, makes it active again, or removes it for ever. It is
// named by its name, where only one has it, or its id. When it returns, this
// node shows the state: who drains asks next how far that is.
func (r *Registry) SetState(ctx context.Context, name string, to command.NodeState) error {
	nodes, err := r.system.Nodes()
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
			if err := r.removable(ctx, found[0]); err != nil {
				return err
			}
		}
		set := &command.SetNodeState{Node: found[0], State: to}
		if to == command.NodeRemoved && found[0] == r.o.ID.Node { // whom nobody tells
			_, err := r.o.Replicas.ProposeSystem(ctx, set)
			return err
		}
		return r.o.Replicas.Commit(ctx, rookery.SystemGroup, set)
	}
	return rookery.E("change node", rookery.KindConflict, fmt.Errorf("several nodes are called %q; name one by its id: %v", name, found))
}

// removable refuses a removal that would leave a group without a majority of
// nodes that live. The registry checks the same without knowing who lives.
func (r *Registry) removable(ctx context.Context, id rookery.NodeID) error {
	nodes, err := view{r}.Nodes(ctx)
	if err != nil {
		return err
	}
	groups, err := view{r}.Placements(ctx)
	if err != nil {
		return err
	}
	groups = slices.DeleteFunc(groups, func(g placement.Placement) bool {
		p, err := r.system.Group(g.Group)
		return err == nil && p.Awaits(id) // empty, and void without the node
	})
	return placement.Removable(id, nodes, groups)
}

// Finalize raises the version gate to the highest that any member reads. The
// machine refuses while others read less, and names them. When it returns, this
// node's status shows the version as final.
func (r *Registry) Finalize(ctx context.Context) error {
	nodes, err := r.system.Nodes()
	if err != nil {
		return err
	}
	version := command.Version
	for _, x := range nodes {
		if x.Member() {
			version = max(version, x.Version)
		}
	}
	return r.o.Replicas.Commit(ctx, rookery.SystemGroup, &command.FinalizeVersion{Version: version})
}
