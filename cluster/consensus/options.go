package consensus

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/hashicorp/raft"

	"rookery"
)

// Peers asks other nodes. Nothing is asked of the node itself, so a cluster
// of one needs none.
type Peers interface {
	// CurrentTerm is the group's term on another server, read there after
	// the call began (Node.CurrentTerm answers it). It must never come from
	// a cache or from an answer to an earlier question.
	CurrentTerm(ctx context.Context, server Server, group rookery.GroupID) (term uint64, err error)
}

// Options of a Node.
type Options struct {
	Node rookery.NodeID
	// Log gives a group's log. It must outlive the Node.
	Log func(rookery.GroupID) (LogStore, error)
	// Transport gives a group's transport, built with at most one AppendEntries
	// in flight (see NewNetworkTransport). The Node closes it.
	Transport func(rookery.GroupID) (Transport, error)
	Peers     Peers
	Logger    *slog.Logger // default slog.Default()
	// Clock is what entry times are checked against. Default time.Now.
	Clock func() time.Time
	// EntryTime peeks at the time inside an entry, unix nanoseconds. A
	// leader refuses entries more than MaxAhead ahead of its clock. nil, or
	// an entry without a time: no check.
	EntryTime func(data []byte) (nanos int64, ok bool)
	// Heartbeat is the time without a leader after which a follower
	// campaigns. Default 500 ms.
	Heartbeat time.Duration
	// TempDir is where images arrive before they are installed, as files
	// already unlinked. Empty keeps them in memory, for tests.
	TempDir string
	// Recover fetches an image at or above an index from a peer when the
	// state on disk is older than the log's first entry. nil: such a group
	// refuses to start.
	Recover func(ctx context.Context, group rookery.GroupID, atLeast rookery.LogIndex) (io.ReadCloser, error)

	// Installed is called with each image that has replaced a group's state,
	// also one that changed nothing, before the leader hears that it arrived:
	// what the image refers to outside itself is made durable here first. An
	// error makes the leader send again. nil: nothing to do.
	Installed func(ctx context.Context, group rookery.GroupID) error

	// MaxInFlight bounds the bytes a group's Apply calls have under way.
	// Default 8 MiB.
	MaxInFlight int64
	// TrailingBytes bounds the applied entries Raft keeps for followers that
	// are behind, at most MaxTrailing of them. Default 64 MiB.
	TrailingBytes int64
	// SnapshotEntries and SnapshotBytes say how much is applied between two
	// permissions to truncate the log. Defaults 8192 and 256 MiB.
	SnapshotEntries uint64
	SnapshotBytes   int64
	// SnapshotInterval is how often SnapshotEntries is looked at. Default 30 s.
	SnapshotInterval time.Duration
	// MaxBacklog bounds the bytes a follower has stored but not applied.
	// Default 64 MiB.
	MaxBacklog int64
}

// Fixed limits.
const (
	// MaxEntry is the largest entry, in bytes.
	MaxEntry = 1 << 20
	// MaxTrailing and minTrailing bound the entries kept for followers.
	MaxTrailing = 10240
	minTrailing = 64
	// MaxAhead is how far an entry's time may be ahead of the leader's clock.
	MaxAhead = time.Second

	maxAppendEntries = 32
	enqueueTimeout   = 2 * time.Second
)

func (o *Options) complete() error {
	switch {
	case o.Node == "":
		return errors.New("the node has no name")
	case o.Log == nil:
		return errors.New("no log is given")
	case o.Transport == nil:
		return errors.New("no transport is given")
	}
	set(&o.Logger, slog.Default())
	if o.Clock == nil {
		o.Clock = time.Now
	}
	set(&o.Heartbeat, 500*time.Millisecond)
	set(&o.MaxInFlight, 8<<20)
	set(&o.TrailingBytes, 64<<20)
	set(&o.SnapshotEntries, 8192)
	set(&o.SnapshotBytes, 256<<20)
	set(&o.SnapshotInterval, 30*time.Second)
	set(&o.MaxBacklog, 64<<20)
	if o.MaxInFlight < MaxEntry {
		return errors.New("MaxInFlight is below the size of one entry")
	}
	return nil
}

// set gives an option its default.
func set[T comparable](option *T, value T) {
	var zero T
	if *option == zero {
		*option = value
	}
}

// raftConfig is the library's configuration. What differs from its defaults
// is explained in DESIGN.md.
func (o *Options) raftConfig(group rookery.GroupID, notify chan<- bool) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(o.Node)
	c.HeartbeatTimeout, c.ElectionTimeout = o.Heartbeat, o.Heartbeat
	c.LeaderLeaseTimeout = o.Heartbeat * 4 / 5
	c.MaxAppendEntries = maxAppendEntries
	c.BatchApplyCh = true
	c.RestoreCommittedLogs = false
	c.NoSnapshotRestoreOnStart = true
	c.SnapshotThreshold = o.SnapshotEntries
	c.SnapshotInterval = o.SnapshotInterval
	c.TrailingLogs = MaxTrailing
	c.ShutdownOnRemove = false
	c.NoLegacyTelemetry = true
	c.NotifyCh = notify
	c.Logger = raftLogger(o.Logger, group)
	return c
}
