package system

import (
	"slices"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/tables"
)

var recoveryPart = part{
	Tables: []tables.Table{
		{ID: tableRecovery, Name: "generation of the cluster",
			Owner: tables.OfCluster, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Exactly(8), Check: recoveryRows.Check},
	},
	Handlers: handlers{
		tables.On((*work).recovered),
	},
}

var recoveryRows = tables.Records[Recovery]{Table: tableRecovery, What: "recoveries",
	Named: sized("recoveries", 8, 8, func(x *Recovery, k []byte) { x.Generation = tables.U64At(k, 0) })}

// Recovery is one generation of the cluster that began after a lost majority.
type Recovery struct {
	Generation uint64 `cbor:"-"`
	// ID names it, Time is unix nanoseconds of group time.
	ID   string `cbor:"1,keyasint"`
	Time int64  `cbor:"2,keyasint"`
	// Removed are the nodes it removed.
	Removed []rookery.NodeID `cbor:"3,keyasint,omitempty"`
}

// Recoveries lists the recoveries of the cluster, oldest first.
func (m *Machine) Recoveries() (all []Recovery, err error) { return list(m, recoveryRows) }

// recovered removes every node that holds nothing of the new generation and
// places the groups on the survivors. It asks for no majority: there is none.
func (w *work) recovered(c *command.Recovered) (command.Result, error) {
	k := tables.NewKey(tableRecovery).U64(c.Generation)
	if w.Get(k) != nil {
		return &command.Done{}, nil
	}
	survivors := map[rookery.NodeID]bool{}
	for _, g := range c.Groups {
		if !slices.Contains(g.Members, g.Seed) {
			return nil, refuse(rookery.KindInvalid, "the seed of group %d is no member of it", g.Group)
		}
		for _, id := range g.Members {
			survivors[id] = true
		}
	}
	nodes := nodeRows.All(&w.Change)
	rec := Recovery{ID: c.Recovery, Time: w.Time()}
	for _, n := range nodes {
		if survivors[n.ID] || !n.Member() {
			continue
		}
		n.State, n.Since = command.NodeRemoved, w.Time()
		nodeRows.Put(&w.Change, nodeKey(n.ID), &n)
		rec.Removed = append(rec.Removed, n.ID)
	}
	for _, s := range c.Nodes {
		n := Node{ID: s.Node, Address: s.Address, Registered: w.Time(), Since: w.Time()}
		if old, found := nodeRows.Get(&w.Change, nodeKey(s.Node)); found {
			n = old
		}
		if survivors[s.Node] && n.Member() {
			n.Key = s.Key
			nodeRows.Put(&w.Change, nodeKey(s.Node), &n)
		}
	}
	for _, g := range c.Groups {
		p, _ := groupRows.Get(&w.Change, groupKey(g.Group))
		if p.Void {
			continue // a copy that was left behind
		}
		p.Members, p.Voters = slices.Sorted(slices.Values(g.Members)), []rookery.NodeID{g.Seed}
		p.Version++
		if len(p.Members) == 1 {
			p.Confirmed = p.Version
		}
		groupRows.Put(&w.Change, groupKey(g.Group), &p)
	}
	for _, id := range rec.Removed {
		w.voidGroups(id)
	}
	if c.FromArchive {
		for _, i := range inviteRows.All(&w.Change) {
			w.Delete(invitedKey(i.ID))
		}
	}
	recoveryRows.Put(&w.Change, k, &rec)
	w.changed()
	return &command.Done{}, nil
}
