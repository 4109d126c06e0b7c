package log

import "rookery"

// DiskState says how much room the file system has left.
type DiskState uint8

// The disk states. At DiskSoft leaders should move away and new mail wait; at
// DiskHard groups should stop on this node.
const (
	DiskOK DiskState = iota
	DiskSoft
	DiskHard
)

func (s DiskState) String() string {
	return [...]string{"ok", "soft", "hard"}[min(s, DiskHard)]
}

// Stats is a snapshot of the log's counters and sizes, in bytes.
type Stats struct {
	Segments    int   // segments holding entries, the active one included
	SpareFiles  int   // pre-written or recycled files ready for use
	Bytes       int64 // size of all segment files, spares included
	Flushes     uint64
	Entries     uint64 // entries stored since Open
	EntryBytes  uint64 // bytes of their data since Open
	CopiedBytes uint64 // bytes copied forward since Open
	Freed       uint64 // segments recycled since Open
	Repaired    uint64 // damaged entries fetched from peers since Open
	Forced      uint64 // entries given up since Open although a floor of class Archive held them
	Disk        DiskState
	DiskFree    int64
	// Short is that the disk is so near to the soft limit, or below it, that
	// everything should go that may.
	Short      bool
	OverBudget bool // above DiskBudget with nothing that may be removed
	Groups     map[rookery.GroupID]GroupStats
}

// GroupStats is one group's part of the log.
type GroupStats struct {
	First, Last rookery.LogIndex // Raft's range; 0, 0 when empty
	Floor       rookery.LogIndex // the lowest entry that must stay
	Floors      []FloorStats     // who needs what, in the order of names
	LiveBytes   int64            // bytes at or above Floor, estimated per segment
	CacheBytes  int64
	Damaged     string // why the group does not start; empty when whole
}
