package system

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
)

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
		ring, err = readRing(r)
		return err
	})
	return ring, err
}

func readRing(r state.Reader) (ring GossipRing, err error) {
	v, err := r.Get([]byte{tableGossip})
	if err == nil && v != nil {
		err = decode("gossip keys", v, &ring)
	}
	return ring, err
}

// setGossipKeys lets the stages follow each other in their order only: a key
// that is used before every node has it would cut nodes off.
func (m *Machine) setGossipKeys(tx state.Tx, c *command.SetGossipKeys) (command.Result, error) {
	ring, err := readRing(tx)
	must(err)
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
		ring.Began = tx.Time()
	case command.GossipUse:
		ok = ring.Stage == command.GossipInstall && len(c.Keys) == 2 && c.Keys[0] == ring.Keys[1] && c.Keys[1] == ring.Keys[0]
	case command.GossipSettled:
		ok = ring.Stage == command.GossipUse && len(c.Keys) == 1 && c.Keys[0] == ring.Keys[0]
	}
	if !ok {
		return nil, refuse(rookery.KindInvalid, "gossip keys that are %s do not become %s with these keys", ring.Stage, c.Stage)
	}
	ring.Version, ring.Stage, ring.Keys = ring.Version+1, c.Stage, c.Keys
	put(tx, []byte{tableGossip}, &ring)
	m.changed(tx)
	return &command.Done{}, nil
}
