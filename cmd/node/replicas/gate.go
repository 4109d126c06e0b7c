package replicas

import (
	"encoding/binary"
	"fmt"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/system"
)

// RefuseOld refuses a binary that does not read what the cluster may write by
// now. The node's own state tells it, so that it needs no majority.
func RefuseOld(m *system.Machine) error {
	gate, err := m.Gate()
	if err == nil && gate > command.Version {
		err = rookery.E("open node", rookery.KindDenied, fmt.Errorf(
			"version %d of commands is final in this cluster and this binary reads up to %d: start this node with the newer binary; its "+
				"data is kept", gate, command.Version))
	}
	return err
}

// Proposable refuses a command that not every node reads: until the operator
// has finalised its version, a node may still go back to a binary without it.
func (r *Replicas) Proposable(cmd []byte) error {
	t, k := binary.Uvarint(cmd)
	if k <= 0 || t > 0xffff {
		return nil // refused by the machine
	}
	row, ok := command.Find(command.Type(t))
	if !ok || row.Since <= 1 {
		return nil
	}
	gate, err := r.system.Gate()
	if err != nil {
		return err
	}
	return refuseAbove(row, gate)
}

// refuseAbove refuses a command that a version above the gate brought.
func refuseAbove(row command.Row, gate uint32) error {
	if row.Since <= max(gate, 1) {
		return nil
	}
	return rookery.E("apply", rookery.KindUnavailable, fmt.Errorf(
		"command %s came with version %d and version %d is final: upgrade every node, then run rookery upgrade finalize", row.Name,
		row.Since, max(gate, 1)))
}
