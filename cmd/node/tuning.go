package node

import (
	"context"
	"time"

	"rookery"
	"rookery/cluster/consensus"
	rlog "rookery/cluster/log"
	"rookery/cmd/node/objects"
	"rookery/cmd/node/replicas"
	"rookery/directory"
	"rookery/storage/blob"
	"rookery/storage/pack"
	"rookery/storage/state"
)

// tuning makes sizes and times small, so that a test sees within seconds what
// takes days in production: segments roll and are released, tables are
// flushed, logs are truncated, bodies are packed. Zero values are the defaults
// of the packages they belong to.
type tuning struct {
	heartbeat time.Duration // and the wait for an election at start
	segment   int64         // bytes of a segment of the log
	logBudget int64         // bytes of log that are kept; 0 is the node file's
	memTable  uint64        // bytes of state that are kept in memory
	// snapshots are how many entries lie between two truncations of the log,
	// and how often they are counted.
	snapshots     uint64
	snapshotEvery time.Duration
	trailing      int64         // bytes of log that Raft keeps for followers
	packAge       time.Duration // age of a body at which it is packed
	frozen        time.Duration // how long a moving account may be out of service
	packSweep     time.Duration // between looks for dead and worn packs
	packDead      time.Duration // how long a dead pack stays for readers
	packLife      time.Duration // of a pack's name
	packRetry     time.Duration // the longest pause after a failure of the store
	purge         time.Duration // between looks for expunged messages to purge
	quorum        time.Duration // how long a start waits for a quorum
	start         time.Duration // how long a start may take in all
	room          time.Duration // between looks for room where a start waits for it
	// store is put around the object store; nil puts nothing there.
	store func(blob.Store) blob.Store
	// backup is put around the backup store; nil puts nothing there.
	backup func(blob.Store) blob.Store
	// apply is in the way of what this node proposes; nil is nobody.
	apply func(ctx context.Context, id rookery.GroupID, entry []byte, on replicas.Way) (rookery.LogIndex, []byte, error)
	// follower follows a directory in the place of its own; nil is its own.
	follower func(id string) directory.Follower
	// erasing is told the steps of erasures; its error ends one.
	erasing func(done string) error
}

func (t tuning) startWithin() time.Duration {
	if t.start > 0 {
		return t.start
	}
	return startWithin
}

func (t tuning) roomAgain() time.Duration {
	if t.room > 0 {
		return t.room
	}
	return tryStart
}

func (t tuning) quorumWait() time.Duration {
	if t.quorum > 0 {
		return t.quorum
	}
	return 10 * time.Second
}

func (t tuning) log(o rlog.Options) rlog.Options {
	o.SegmentSize = t.segment
	if t.logBudget > 0 {
		o.DiskBudget = t.logBudget
	}
	return o
}

func (t tuning) state(o state.Options) state.Options {
	o.MemTableBytes = t.memTable
	return o
}

func (t tuning) raft(o consensus.Options) consensus.Options {
	o.Heartbeat, o.TrailingBytes = t.heartbeat, t.trailing
	o.SnapshotEntries, o.SnapshotInterval = t.snapshots, t.snapshotEvery
	return o
}

func (t tuning) pack(o pack.Options) pack.Options {
	o.MaxAge, o.SweepEvery, o.RetryMax = t.packAge, t.packSweep, t.packRetry
	o.NameLife = t.nameTime()
	return o
}

func (t tuning) purgeTime() time.Duration {
	if t.purge > 0 {
		return t.purge
	}
	return objects.PurgeEvery
}

func (t tuning) nameTime() time.Duration {
	if t.packLife > 0 {
		return t.packLife
	}
	return objects.NameLife
}

func (t tuning) deadTime() time.Duration {
	if t.packDead > 0 {
		return t.packDead
	}
	return objects.DeadFor
}
