package state

import (
	"encoding/binary"
	"math"

	"rookery"
)

// forgotten is the epoch of a node that has left for ever: above all that it
// ever had, so that everything it sent is fenced.
const forgotten = math.MaxUint64

// Forget implements Tx. The row takes the slot behind the last of the ring.
func (t *txn) Forget(node rookery.NodeID) error { return t.group.retries.forget(t, node) }

func (r *retries) forget(tx *txn, node rookery.NodeID) error {
	if err := tx.deleteRange(retryKey(node, 0), retryKey(node, Window)); err != nil {
		return err
	}
	r.nodes[node] = &proposals{epoch: forgotten}
	value := binary.AppendUvarint(nil, forgotten)
	return tx.set(retryKey(node, Window), append(value, 0, 0))
}

// Forgotten reports whether the group has forgotten a node, see Tx.Forget.
func (g *Group) Forgotten(node rookery.NodeID) (bool, error) {
	s := g.Read()
	defer s.Close()
	v, err := s.get(retryKey(node, Window))
	return v != nil, err
}
