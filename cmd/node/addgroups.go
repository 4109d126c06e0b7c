package node

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/storage/command"
	"rookery/storage/system"
)

// beginWithin is how long an operator waits to see that added groups began.
const beginWithin = 15 * time.Second

// founds reports whether this node, and no other ever, begins a group that
// has not begun (decisions 6 and 11).
func (n *Node) founds(p system.GroupPlacement) bool {
	if p.Founder != "" {
		return p.Awaits(n.id.Node)
	}
	return n.id.Created && p.Version == 1 && len(p.Members) == 1 && p.Members[0] == n.id.Node
}

// mailGroups are the mail groups that take accounts: those that have begun,
// or the cluster's first ones where none has said so yet.
func (n *Node) mailGroups() []rookery.GroupID {
	placed, err := n.system.Groups()
	if err != nil {
		n.deps.Logger.Error("the placement of groups cannot be read", "error", err)
	}
	var begun, all []rookery.GroupID
	for _, p := range placed {
		if p.Group == rookery.SystemGroup {
			continue
		}
		if p.Founder == "" {
			all = append(all, p.Group)
		}
		if p.Begun() {
			begun = append(begun, p.Group)
		}
	}
	switch {
	case len(begun) > 0:
		return begun
	case len(all) > 0:
		return all
	}
	return firstMail()
}

// addGroups adds mail groups, each begun on the node with the fewest, from
// where the placement spreads them, and waits a while until they have begun.
// It returns what was added also beside an error.
func (n *Node) addGroups(ctx context.Context, count int) (added []adminapi.AddedGroup, err error) {
	if count < 1 || count > adminapi.MaxAddGroups {
		return nil, rookery.E("add groups", rookery.KindInvalid, fmt.Errorf("%d groups at once; add 1 to %d", count, adminapi.MaxAddGroups))
	}
	if err := n.groups.Barrier(ctx, rookery.SystemGroup); err != nil {
		return nil, err
	}
	for len(added) < count {
		g, err := n.addGroup(ctx)
		if rookery.Is(err, rookery.KindExists) {
			continue // another operator was faster: the next number
		}
		if err != nil {
			return added, err
		}
		added = append(added, g)
	}
	return n.awaitBegun(ctx, added), nil
}

func (n *Node) addGroup(ctx context.Context) (adminapi.AddedGroup, error) {
	placed, err := n.system.Groups()
	if err != nil {
		return adminapi.AddedGroup{}, err
	}
	next := rookery.SystemGroup
	load := map[rookery.NodeID]int{}
	for _, p := range placed {
		next = max(next, p.Group)
		for _, id := range p.Members {
			load[id]++
		}
	}
	founder, err := n.founderFor(load)
	if err != nil {
		return adminapi.AddedGroup{}, err
	}
	_, err = n.groups.ProposeSystem(ctx, &command.FoundGroup{Group: next + 1, Founder: founder.ID})
	if err != nil {
		if rookery.Is(err, rookery.KindExists) { // not yet applied here
			return adminapi.AddedGroup{}, errors.Join(err, n.groups.Barrier(ctx, rookery.SystemGroup))
		}
		return adminapi.AddedGroup{}, err
	}
	if err := n.groups.Barrier(ctx, rookery.SystemGroup); err != nil { // the next number follows this one
		return adminapi.AddedGroup{}, err
	}
	n.deps.Logger.Info("a group was added", "group", next+1, "founder", founder.ID)
	return adminapi.AddedGroup{Group: next + 1, Founder: founder.Name}, nil
}

// founderFor is the node that begins the next group: an active one that
// answers and has room, with the fewest groups.
func (n *Node) founderFor(load map[rookery.NodeID]int) (system.Node, error) {
	nodes, err := n.system.Nodes()
	if err != nil {
		return system.Node{}, err
	}
	nodes = slices.DeleteFunc(nodes, func(x system.Node) bool {
		r, alive := n.reports.Of(x.ID)
		return x.State != command.NodeActive || !alive || r.Disk != "ok"
	})
	if len(nodes) == 0 {
		return system.Node{}, rookery.E("add groups", rookery.KindUnavailable, errors.New("no active node that answers has room; see: rookery status"))
	}
	return slices.MinFunc(nodes, func(a, b system.Node) int {
		return cmp.Or(cmp.Compare(load[a.ID], load[b.ID]), cmp.Compare(a.ID, b.ID))
	}), nil
}

// awaitBegun notes which groups have begun, as soon as all have or the wait is
// over.
func (n *Node) awaitBegun(ctx context.Context, added []adminapi.AddedGroup) []adminapi.AddedGroup {
	ctx, cancel := context.WithTimeout(ctx, beginWithin)
	defer cancel()
	for {
		all := true
		for i := range added {
			p, err := n.system.Group(added[i].Group)
			added[i].Begun = err == nil && p.Begun()
			all = all && added[i].Begun
		}
		if all {
			return added
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return added
		}
	}
}

func (a *adminServer) postGroups(w http.ResponseWriter, r *http.Request) {
	var in adminapi.GroupsBody
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&in); err != nil {
		replyError(w, rookery.E("add groups", rookery.KindInvalid, err))
		return
	}
	added, err := a.groups(r.Context(), in.Count)
	if err != nil && len(added) == 0 {
		replyError(w, err)
		return
	}
	out := adminapi.GroupsBody{Added: added}
	if err != nil {
		out.Error, out.Kind = err.Error(), rookery.KindOf(err)
	}
	reply(w, out)
}
