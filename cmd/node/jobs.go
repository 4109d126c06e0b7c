package node

import (
	"context"
	"errors"
	"log/slog"
	"sync"
)

// startJobs runs what goes on in the background until Close.
func (n *Node) startJobs() {
	n.jobs.run("delivery to further groups", n.deliver.Run)
	n.jobs.run("mail to other systems", n.couriers.Run)
	n.jobs.run("settings", func(ctx context.Context) error { return n.settings.Run(ctx, n.useSettings) })
	n.jobs.run("upkeep of stored mail", n.upkeep.Run)
	n.jobs.run("members", n.host.Run)
	n.jobs.run("certificate", n.peers.RenewCertificate)
	n.jobs.run("missing bodies", n.groups.FetchMissing)
	n.jobs.run("sessions of clients", n.edge.Run)
	n.jobs.run("accounts of sessions", n.clients.Run)
	n.jobs.run("keys", n.keys.Run)
	n.jobs.run("moves of accounts", n.moves.Run)
	n.jobs.run("keys that sign mail", n.signing.Run)
	n.jobs.run("trace", n.trace.Run)
	n.jobs.run("object store", n.objects.Run)
	n.jobs.run("backup", n.backups.Run)
	n.jobs.run("copies of directories", n.elected.Run)
}

// jobs are what goes on in the background.
type jobs struct {
	ctx    context.Context // ends with them
	stop   context.CancelFunc
	wg     sync.WaitGroup
	logger *slog.Logger
}

func newJobs(logger *slog.Logger) *jobs {
	ctx, stop := context.WithCancel(context.Background())
	return &jobs{ctx: ctx, stop: stop, logger: logger}
}

// run runs a job until stop; who stops waits for it.
func (j *jobs) run(name string, job func(context.Context) error) {
	j.wg.Go(func() {
		if err := job(j.ctx); err != nil && !errors.Is(err, context.Canceled) {
			j.logger.Error("a background job ended", "job", name, "error", err)
		}
	})
}
