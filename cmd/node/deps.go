package node

import (
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery/cmd/node/diskroom"
	"rookery/cmd/node/settings"
)

// Deps are what a node takes from outside; the zero value is a real node.
type Deps struct {
	// Logger hears everything; default: nothing is logged.
	Logger *slog.Logger
	// FS is under the log and the state; default the disk. Keys, the identity,
	// caches and what is spooled lie on the disk always.
	FS vfs.FS
	// Network carries all connections; default the operating system's.
	Network Network
	// Clock stamps commands; default time.Now.
	Clock func() time.Time
	// OnStall is called when the disk fails under the log or the state, or is
	// full where what it did not take cannot be written again; default: the
	// process ends and says why.
	OnStall func(error)
	// AwaitRoom has Open wait where the disk is full, for as long as it takes;
	// else it fails.
	AwaitRoom bool
	// Settings are written where the cluster has none yet.
	Settings *settings.Cluster
	// Create makes a new cluster where the data directory is not a node's.
	Create bool

	tuning tuning
}

// complete gives what is not set its default.
func (d *Deps) complete() {
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.FS == nil {
		d.FS = systemDisk()
	}
	if d.Network == nil {
		d.Network = systemNetwork{}
	}
	if d.Clock == nil {
		d.Clock = systemClock()
	}
	d.tuning = systemTuning(d.tuning)
	if d.OnStall == nil {
		d.OnStall = func(err error) { diskroom.EndProcess(d.Logger, err) }
	}
}
