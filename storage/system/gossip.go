package system

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var gossipPart = part{
	Tables: []tables.Table{
		{ID: tableGossip, Name: "gossip keys",
			Owner: tables.OfCluster, Travels: tables.Stays, Archived: tables.NotArchived, Restored: tables.Never, Erased: tables.Kept,
			Key: tables.Exactly(0), Check: gossipRows.Check},
	},
	Handlers: handlers{
		tables.On((*work).setGossipKeys),
	},
}

var gossipRows = tables.Records[GossipRing]{Table: tableGossip, What: "gossip keys"}

// GossipRing is the ring of keys that gossip is encrypted with.
type GossipRing struct {
	// Version counts the changes; 0 is a cluster that never changed its key.
	Version uint64              `cbor:"1,keyasint"`
	Stage   command.GossipStage `cbor:"2,keyasint,omitempty"`
	// Keys are sealed; the first encrypts.
	Keys []string `cbor:"3,keyasint"`
	// Began is when the last change began, unix nanoseconds of group time: who
	// was removed after it knows the key of today.
	Began int64 `cbor:"4,keyasint,omitempty"`
}

// Gossip is the ring of gossip keys.
func (m *Machine) Gossip() (ring GossipRing, err error) {
	err = m.read(func(r state.Reader) error {
		ring, _, err = gossipRows.Find(r, tables.Key{tableGossip})
		return err
	})
	return ring, err
}

// setGossipKeys lets the stages follow each other in their order only: a key
// that is used before every node has it would cut nodes off.
func (w *work) setGossipKeys(c *command.SetGossipKeys) (command.Result, error) {
	ring, _ := gossipRows.Get(&w.Change, tables.Key{tableGossip})
	if ring.Version != c.Version {
		return nil, refuse(rookery.KindConflict, "the gossip keys have version %d, not %d", ring.Version, c.Version)
	}
	for _, k := range c.Keys {
		if len(k) == 0 || len(k) > command.MaxGossipKey {
			return nil, refuse(rookery.KindInvalid, "a sealed gossip key has 1 to %d bytes", command.MaxGossipKey)
		}
	}
	ok := false
	switch c.Stage {
	case command.GossipInstall:
		ok = ring.Stage == command.GossipSettled && len(c.Keys) == 2 && c.Keys[0] != c.Keys[1] &&
			(ring.Version == 0 || c.Keys[0] == ring.Keys[0])
		ring.Began = w.Time()
	case command.GossipUse:
		ok = ring.Stage == command.GossipInstall && len(c.Keys) == 2 && c.Keys[0] == ring.Keys[1] && c.Keys[1] == ring.Keys[0]
	case command.GossipSettled:
		ok = ring.Stage == command.GossipUse && len(c.Keys) == 1 && c.Keys[0] == ring.Keys[0]
	}
	if !ok {
		return nil, refuse(rookery.KindInvalid, "gossip keys that are %s do not become %s with these keys", ring.Stage, c.Stage)
	}
	ring.Version, ring.Stage, ring.Keys = ring.Version+1, c.Stage, c.Keys
	gossipRows.Put(&w.Change, tables.Key{tableGossip}, &ring)
	w.changed()
	return &command.Done{}, nil
}
