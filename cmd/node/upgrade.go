package node

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime/debug"

	"rookery"
	"rookery/storage/command"
)

// BinaryVersion is the version this binary was built as.
func BinaryVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "development"
}

// finalize raises the version gate to what this binary reads.
func (n *Node) finalize(ctx context.Context) error {
	_, err := n.propose(ctx, &command.FinalizeVersion{Version: CommandVersion})
	return err
}

// behindGate refuses a command that not every node reads: until the operator
// has finalised its version, a node may still go back to a binary without it.
func (n *Node) behindGate(cmd []byte) error {
	t, k := binary.Uvarint(cmd)
	if k <= 0 || t > 0xffff {
		return nil // refused by the machine
	}
	brought := command.Introduced(command.Type(t))
	if brought <= 1 {
		return nil
	}
	gate, err := n.groups.system.Gate()
	if err == nil && brought > gate {
		err = rookery.E("apply", rookery.KindUnavailable, fmt.Errorf(
			"command type %d came with version %d and version %d is final: upgrade every node, then run rookery upgrade finalize", t, brought, max(gate, 1)))
	}
	return err
}
