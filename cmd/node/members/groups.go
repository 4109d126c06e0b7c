package members

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/storage/command"
	"rookery/storage/system"
)

// beginWithin is how long an operator waits to see that added groups began.
const beginWithin = 15 * time.Second

// MailGroups are the mail groups that take accounts: those that have begun,
// or the cluster's first ones where none has said so yet.
func (r *Registry) MailGroups() []rookery.GroupID {
	placed, err := r.system.Groups()
	if err != nil {
		r.o.Logger.Error("the placement of groups cannot be read", "error", err)
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
	return FirstMail()
}

// AddGroups adds mail groups, each begun on the node with the fewest, from
// where the placement spreads them, and waits a while until they have begun.
// It returns what was added also beside an error.
func (r *Registry) AddGroups(ctx context.Context, count int) (added []adminapi.AddedGroup, err error) {
	if count < 1 || count > adminapi.MaxAddGroups {
		return nil, rookery.E("add groups", rookery.KindInvalid, fmt.Errorf("%d groups at once; add 1 to %d", count, adminapi.MaxAddGroups))
	}
	if err := r.o.Replicas.Barrier(ctx, rookery.SystemGroup); err != nil {
		return nil, err
	}
	for len(added) < count {
		g, err := r.addGroup(ctx)
		if rookery.Is(err, rookery.KindExists) {
			continue // another operator was faster: the next number
		}
		if err != nil {
			return added, err
		}
		added = append(added, g)
	}
	return r.awaitBegun(ctx, added), nil
}

func (r *Registry) addGroup(ctx context.Context) (adminapi.AddedGroup, error) {
	placed, err := r.system.Groups()
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
	founder, err := r.founderFor(load)
	if err != nil {
		return adminapi.AddedGroup{}, err
	}
	_, err = r.o.Replicas.ProposeSystem(ctx, &command.FoundGroup{Group: next + 1, Founder: founder.ID})
	if err != nil {
		if rookery.Is(err, rookery.KindExists) { // not yet applied here
			return adminapi.AddedGroup{}, errors.Join(err, r.o.Replicas.Barrier(ctx, rookery.SystemGroup))
		}
		return adminapi.AddedGroup{}, err
	}
	if err := r.o.Replicas.Barrier(ctx, rookery.SystemGroup); err != nil { // the next number follows this one
		return adminapi.AddedGroup{}, err
	}
	r.o.Logger.Info("a group was added", "group", next+1, "founder", founder.ID)
	return adminapi.AddedGroup{Group: next + 1, Founder: founder.Name}, nil
}

// founderFor is the node that begins the next group: an active one that
// answers and has room, with the fewest groups.
func (r *Registry) founderFor(load map[rookery.NodeID]int) (system.Node, error) {
	nodes, err := r.system.Nodes()
	if err != nil {
		return system.Node{}, err
	}
	nodes = slices.DeleteFunc(nodes, func(x system.Node) bool {
		r, alive := r.o.Reports.Of(x.ID)
		return x.State != command.NodeActive || !alive || r.Disk != "ok"
	})
	if len(nodes) == 0 {
		return system.Node{}, rookery.E("add groups", rookery.KindUnavailable,
			errors.New("no active node that answers has room; see: rookery status"))
	}
	return slices.MinFunc(nodes, func(a, b system.Node) int {
		return cmp.Or(cmp.Compare(load[a.ID], load[b.ID]), cmp.Compare(a.ID, b.ID))
	}), nil
}

// awaitBegun notes which groups have begun, as soon as all have or the wait is
// over.
func (r *Registry) awaitBegun(ctx context.Context, added []adminapi.AddedGroup) []adminapi.AddedGroup {
	ctx, cancel := context.WithTimeout(ctx, beginWithin)
	defer cancel()
	for {
		all := true
		for i := range added {
			p, err := r.system.Group(added[i].Group)
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

// FirstGroups is how many mail groups a new cluster begins with.
const FirstGroups = 4

// FirstMail are the mail groups a new cluster begins with.
func FirstMail() []rookery.GroupID {
	ids := make([]rookery.GroupID, FirstGroups)
	for i := range ids {
		ids[i] = rookery.SystemGroup + 1 + rookery.GroupID(i)
	}
	return ids
}
