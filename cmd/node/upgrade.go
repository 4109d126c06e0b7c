package node

import (
	"context"
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

// finalize raises the version gate to the highest that any member reads. The
// machine refuses while others read less, and names them. When it returns, this
// node's status shows the version as final.
func (n *Node) finalize(ctx context.Context) error {
	nodes, err := n.system.Nodes()
	if err != nil {
		return err
	}
	version := CommandVersion
	for _, x := range nodes {
		if x.Member() {
			version = max(version, x.Version)
		}
	}
	return n.groups.Commit(ctx, rookery.SystemGroup, &command.FinalizeVersion{Version: version})
}
