package system

import (
	"encoding/binary"
	"slices"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
)

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
func (m *Machine) Recoveries() (all []Recovery, err error) {
	err = m.read(func(r state.Reader) error {
		return scan(r, tableRecovery, func(k, v []byte) error {
			if len(k) != 8 {
				return damaged("recoveries")
			}
			x := Recovery{Generation: binary.BigEndian.Uint64(k)}
			err := decode("recoveries", v, &x)
			all = append(all, x)
			return err
		})
	})
	return all, err
}

// recovered removes every node that holds nothing of the new generation and
// places the groups on the survivors. It asks for no majority: there is none.
func (m *Machine) recovered(tx state.Tx, c *command.Recovered) (command.Result, error) {
	k := binary.BigEndian.AppendUint64([]byte{tableRecovery}, c.Generation)
	if get(tx, k) != nil {
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
	nodes, err := readNodes(tx)
	must(err)
	rec := Recovery{ID: c.Recovery, Time: tx.Time()}
	for _, n := range nodes {
		if survivors[n.ID] || !n.Member() {
			continue
		}
		n.State, n.Since = command.NodeRemoved, tx.Time()
		put(tx, nodeKey(n.ID), &n)
		rec.Removed = append(rec.Removed, n.ID)
	}
	for _, s := range c.Nodes {
		n := Node{ID: s.Node, Address: s.Address, Registered: tx.Time(), Since: tx.Time()}
		_, err := findNode(tx, s.Node, &n)
		must(err)
		if survivors[s.Node] && n.Member() {
			n.Key = s.Key
			put(tx, nodeKey(s.Node), &n)
		}
	}
	for _, g := range c.Groups {
		var p GroupPlacement
		_, err := findGroup(tx, g.Group, &p)
		must(err)
		if p.Void {
			continue // a copy that was left behind
		}
		p.Members, p.Voters = slices.Sorted(slices.Values(g.Members)), []rookery.NodeID{g.Seed}
		p.Version++
		if len(p.Members) == 1 {
			p.Confirmed = p.Version
		}
		put(tx, groupKey(g.Group), &p)
	}
	for _, id := range rec.Removed {
		voidGroups(tx, id)
	}
	if gate(tx) < c.Version {
		must(tx.Set([]byte{tableGate}, binary.BigEndian.AppendUint32(nil, c.Version)))
	}
	put(tx, k, &rec)
	m.changed(tx)
	return &command.Done{}, nil
}
