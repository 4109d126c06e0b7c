package system

import (
	"fmt"
	"slices"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var groupPart = part{
	Tables: []tables.Table{
		{ID: tableGroup, Name: "placement of a group",
			Owner: tables.OfCluster, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Exactly(4), Check: groupRows.Check},
	},
	Handlers: handlers{
		tables.On((*work).createGroup),
		tables.On((*work).foundGroup),
		tables.On((*work).placeGroup),
		tables.On((*work).confirmGroup),
	},
}

var groupRows = tables.Records[GroupPlacement]{Table: tableGroup, What: "placement",
	Named: sized("placement", 4, 4, func(x *GroupPlacement, k []byte) { x.Group = rookery.GroupID(tables.U32At(k, 0)) })}

// GroupPlacement says which nodes shall hold a group.
type GroupPlacement struct {
	Group rookery.GroupID `cbor:"-"`
	// Members shall hold the group, in the order of ids.
	Members []rookery.NodeID `cbor:"1,keyasint,omitempty"`
	// Version rises with every change of Members, from 1.
	Version uint64 `cbor:"2,keyasint,omitempty"`
	// Voters are Raft's as the leader last said, in the order of ids: at most
	// the one change under way is missing. Confirmed is the version that
	// Raft's configuration last followed: while it is not Version, a change
	// is under way. Voters are fewer than Members where the leader
	// keeps one as a learner, to have no even number of votes.
	Voters    []rookery.NodeID `cbor:"3,keyasint,omitempty"`
	Confirmed uint64           `cbor:"4,keyasint,omitempty"`
	// Founder begins the group's Raft while it has not begun; no other node
	// ever does, for a group begun twice would be two.
	Founder rookery.NodeID `cbor:"5,keyasint,omitempty"`
	// Void says that the founder was removed before the group began: it never
	// begins, has no members, and only keeps its number. Instead is the group
	// that was added in its place, 0 while none was.
	Void    bool            `cbor:"6,keyasint,omitempty"`
	Instead rookery.GroupID `cbor:"7,keyasint,omitempty"`
}

// Begun reports whether the group has had a leader, which recorded its
// voters. It never becomes false again.
func (p GroupPlacement) Begun() bool { return len(p.Voters) > 0 }

// Awaits reports whether the group has not begun and waits for a node, which
// alone may begin it.
func (p GroupPlacement) Awaits(node rookery.NodeID) bool {
	return p.Founder != "" && p.Founder == node && !p.Begun() && !p.Void
}

// Votes reports whether a node's vote counts in the group, as far as is known.
func (p GroupPlacement) Votes(node rookery.NodeID) bool { return slices.Contains(p.votes(), node) }

// votes are the nodes whose majority the group needs, as far as is known.
func (p GroupPlacement) votes() []rookery.NodeID {
	if len(p.Voters) > 0 {
		return p.Voters
	}
	return p.Members
}

// Groups lists the placement of all groups in the order of their numbers.
func (m *Machine) Groups() (groups []GroupPlacement, err error) { return list(m, groupRows) }

// Group is one group's placement. The error is KindNotFound.
func (m *Machine) Group(id rookery.GroupID) (p GroupPlacement, err error) {
	err = m.read(func(r state.Reader) error {
		var found bool
		p, found, err = groupRows.Find(r, groupKey(id))
		if err == nil && !found {
			err = rookery.E("find group", rookery.KindNotFound, fmt.Errorf("there is no group %d", id))
		}
		return err
	})
	return p, err
}

func (w *work) createGroup(c *command.CreateGroup) (command.Result, error) {
	return w.addGroup(GroupPlacement{Group: c.Group, Members: c.Members})
}

// foundGroup adds a group in the place of the first void one.
func (w *work) foundGroup(c *command.FoundGroup) (command.Result, error) {
	r, err := w.addGroup(GroupPlacement{Group: c.Group, Members: []rookery.NodeID{c.Founder}, Founder: c.Founder})
	if err != nil {
		return nil, err
	}
	groups := groupRows.All(&w.Change)
	for _, p := range groups {
		if p.Void && p.Instead == 0 {
			p.Instead = c.Group
			groupRows.Put(&w.Change, groupKey(p.Group), &p)
			break
		}
	}
	return r, nil
}

// voidGroups makes the groups void that wait for a node to begin them, which
// was removed.
func (w *work) voidGroups(removed rookery.NodeID) {
	groups := groupRows.All(&w.Change)
	for _, p := range groups {
		if p.Awaits(removed) {
			p.Void, p.Members = true, nil
			p.Version++
			groupRows.Put(&w.Change, groupKey(p.Group), &p)
		}
	}
}

func (w *work) addGroup(p GroupPlacement) (command.Result, error) {
	var err error
	if p.Members, err = w.placeable(p.Members); err != nil {
		return nil, err
	}
	if p.Group < rookery.SystemGroup {
		return nil, refuse(rookery.KindInvalid, "groups are numbered from %d", rookery.SystemGroup)
	}
	groups := groupRows.All(&w.Change)
	if slices.ContainsFunc(groups, func(other GroupPlacement) bool { return other.Group == p.Group }) {
		return nil, refuse(rookery.KindExists, "group %d exists", p.Group)
	}
	if len(groups) >= MaxGroups {
		return nil, refuse(rookery.KindLimit, "there are %d groups, at most that many", MaxGroups)
	}
	p.Version = 1
	groupRows.Put(&w.Change, groupKey(p.Group), &p)
	w.changed()
	return &command.PlacementResult{Version: 1}, nil
}

func (w *work) placeGroup(c *command.PlaceGroup) (command.Result, error) {
	p, err := w.placementAt(c.Group, c.Version)
	if err != nil {
		return nil, err
	}
	if p.Members, err = w.placeable(c.Members); err != nil {
		return nil, err
	}
	p.Version++
	groupRows.Put(&w.Change, groupKey(c.Group), &p)
	w.changed()
	return &command.PlacementResult{Version: p.Version}, nil
}

func (w *work) confirmGroup(c *command.ConfirmGroup) (command.Result, error) {
	p, err := w.placementAt(c.Group, c.Version)
	if err != nil {
		return nil, err
	}
	if p.Voters, err = distinct(c.Voters); err != nil {
		return nil, err
	}
	if !c.Open {
		p.Confirmed = c.Version
	}
	groupRows.Put(&w.Change, groupKey(c.Group), &p)
	w.changed()
	return &command.Done{}, nil
}

// placementAt is a group's placement if it has the version.
func (w *work) placementAt(group rookery.GroupID, version uint64) (GroupPlacement, error) {
	p, found := groupRows.Get(&w.Change, groupKey(group))
	if !found {
		return p, refuse(rookery.KindNotFound, "there is no group %d", group)
	}
	if p.Void {
		return p, refuse(rookery.KindConflict, "group %d is void: the node that alone could begin it was removed", group)
	}
	if p.Version != version {
		return p, refuse(rookery.KindConflict, "the placement of group %d has version %d, not %d; read it again", group, p.Version, version)
	}
	return p, nil
}

func distinct(nodes []rookery.NodeID) ([]rookery.NodeID, error) {
	if n := len(nodes); n == 0 || n > MaxMembers {
		return nil, refuse(rookery.KindInvalid, "a group has 1 to %d members, not %d", MaxMembers, n)
	}
	sorted := slices.Sorted(slices.Values(nodes))
	if len(slices.Compact(slices.Clone(sorted))) != len(sorted) {
		return nil, refuse(rookery.KindInvalid, "a node is a member twice")
	}
	return sorted, nil
}

// placeable are the nodes in the order of their ids where all may hold a
// group.
func (w *work) placeable(nodes []rookery.NodeID) ([]rookery.NodeID, error) {
	sorted, err := distinct(nodes)
	if err != nil {
		return nil, err
	}
	for _, id := range sorted {
		n, found := nodeRows.Get(&w.Change, nodeKey(id))
		if !found || !n.Member() {
			return nil, refuse(rookery.KindInvalid, "node %.64q is no member of the cluster", id)
		}
	}
	return sorted, nil
}

// removable refuses the removal of a node that a group's majority needs. Two
// nodes that share a group are removed one after the other, the second when
// the group has left the first. A group that waits for the node to begin it is
// empty: it becomes void.
func (w *work) removable(node rookery.NodeID) error {
	groups := groupRows.All(&w.Change)
	stays := func(id rookery.NodeID) bool {
		n, found := nodeRows.Get(&w.Change, nodeKey(id))
		return found && n.Member() && id != node
	}
	for _, p := range groups {
		if !p.Awaits(node) && !p.majorityWithout(node, stays) {
			return refuse(rookery.KindConflict, "group %d might keep no majority of its votes; wait until it has moved off the node, or "+
				"let another node join", p.Group)
		}
	}
	return nil
}

// majorityWithout reports whether those who stay are a majority whichever
// change of the votes is under way: the promotion of a member, or the end of
// a vote of one that is no member. Raft's leader promotes nobody while a vote
// of one that is gone is to end.
func (p GroupPlacement) majorityWithout(node rookery.NodeID, stays func(rookery.NodeID) bool) bool {
	votes := p.votes()
	live, leaves, ending := 0, false, false
	for _, id := range votes {
		switch member := slices.Contains(p.Members, id); {
		case !stays(id):
			ending = ending || !member && id != node
		default:
			live++
			leaves = leaves || !member
		}
	}
	majority := func(n int) int { return n/2 + 1 }
	switch {
	case slices.Contains(votes, node):
		return live >= majority(len(votes)) && !(leaves && live-1 < majority(len(votes)-1))
	case slices.Contains(p.Members, node):
		return ending || live >= majority(len(votes)+1)
	}
	return true
}
