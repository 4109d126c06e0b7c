package node

import (
	"context"
	"errors"
)

// startJobs runs what goes on in the background until Close.
func (n *Node) startJobs() {
	n.job("delivery to further groups", n.deliver.Run)
	n.job("settings", func(ctx context.Context) error { return n.settings.Run(ctx, n.useSettings) })
	n.job("upkeep of stored mail", n.upkeep.Run)
	n.job("members", n.host.Run)
	n.job("certificate", n.peers.RenewCertificate)
	n.job("missing bodies", n.groups.FetchMissing)
	n.job("sessions of clients", n.edge.Run)
	n.job("accounts of sessions", n.clients.Run)
	n.job("keys", n.keys.Run)
	n.job("moves of accounts", n.moves.Run)
	n.job("object store", n.objects.Run)
}

func (n *Node) job(name string, run func(context.Context) error) {
	n.wg.Go(func() {
		if err := run(n.jobs); err != nil && !errors.Is(err, context.Canceled) {
			n.deps.Logger.Error("a background job ended", "job", name, "error", err)
		}
	})
}
