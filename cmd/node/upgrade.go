package node

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime/debug"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/system"
)

// BinaryVersion is the version this binary was built as.
func BinaryVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "development"
}

// finalize raises the version gate to the highest that any member reads. The
// machine refuses while others read less, and names them. When it returns, this
// node's status shows the version as final.
func (n *Node) finalize(ctx context.Context) error {
	nodes, err := n.groups.system.Nodes()
	if err != nil {
		return err
	}
	version := CommandVersion
	for _, x := range nodes {
		if x.Member() {
			version = max(version, x.Version)
		}
	}
	index, _, err := n.proposeAt(ctx, &command.FinalizeVersion{Version: version})
	if err != nil {
		return err
	}
	return n.road.Wait(ctx, rookery.SystemGroup, index)
}

// refuseOld refuses a binary that does not read what the cluster may write by
// now. The node's own state tells it, so that it needs no majority.
func refuseOld(m *system.Machine) error {
	gate, err := m.Gate()
	if err == nil && gate > CommandVersion {
		err = rookery.E("open node", rookery.KindDenied, fmt.Errorf(
			"version %d of commands is final in this cluster and this binary reads up to %d: start this node with the newer binary; its data is kept", gate, CommandVersion))
	}
	return err
}

// behindGate refuses a command that not every node reads: until the operator
// has finalised its version, a node may still go back to a binary without it.
func (n *Node) behindGate(cmd []byte) error {
	t, k := binary.Uvarint(cmd)
	if k <= 0 || t > 0xffff {
		return nil // refused by the machine
	}
	row, ok := command.Find(command.Type(t))
	if !ok || row.Since <= 1 {
		return nil
	}
	gate, err := n.groups.system.Gate()
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
		"command %s came with version %d and version %d is final: upgrade every node, then run rookery upgrade finalize", row.Name, row.Since, max(gate, 1)))
}
