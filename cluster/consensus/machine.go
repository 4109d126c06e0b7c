package consensus

import (
	"io"

	"github.com/hashicorp/raft"

	"rookery"
)

// Machine is one group's state. Apply and Restore are called by one
// goroutine at a time, the rest by any.
type Machine interface {
	// Apply executes entries in one atomic batch together with the applied
	// index, and skips entries applied before. It gives one result for each,
	// nil for skipped ones and those without a command. It is deterministic
	// and does not wait for the disk.
	Apply(entries []rookery.Entry) [][]byte
	// Applied is the last applied entry, 0 and 0 before the first.
	Applied() (index rookery.LogIndex, term uint64)
	// Configuration is the last configuration applied and its index.
	Configuration() (data []byte, index rookery.LogIndex)
	// Sync returns when everything applied so far is durable.
	Sync() error
	// Snapshot gives a consistent image.
	Snapshot() (Snapshot, error)
	// Restore replaces the state by an image, atomically and durably.
	Restore(r io.Reader) error
}

// Snapshot is a consistent image of a Machine. It is a literal type so that
// machines need not import this package to give one.
type Snapshot = interface {
	Index() rookery.LogIndex
	Term() uint64
	Configuration() (data []byte, index rookery.LogIndex)
	Size() int64 // exactly what WriteTo writes
	WriteTo(w io.Writer) (int64, error)
	Close() error
}

// LogStore keeps a group's entries, term and vote. Everything it has
// accepted is on disk when the call returns.
type LogStore interface {
	raft.LogStore
	raft.StableStore
}

// Server is one member of a group.
type Server struct {
	ID      rookery.NodeID `json:"id"`
	Address string         `json:"address"`
	// Learner servers get everything and vote on nothing.
	Learner bool `json:"learner,omitempty"`
}
