package state

import "rookery"

// Reader reads one group's rows. Keys are without the group: their first
// byte is the table, FirstTable or above.
type Reader interface {
	// Get is the key's value, nil without an error if there is none (an
	// empty value is non-nil). The caller owns it.
	Get(key []byte) ([]byte, error)
	// Scan calls fn for the rows from <= key < to in ascending order until
	// fn returns false or an error, which Scan returns. A nil to means the
	// end of the machine's tables. k and v are valid only during the call,
	// and rows written meanwhile are not seen.
	Scan(from, to []byte, fn func(k, v []byte) (more bool, err error)) error
	// ScanReverse is Scan over the same rows in descending order.
	ScanReverse(from, to []byte, fn func(k, v []byte) (more bool, err error)) error
}

// Tx is the change one log entry makes. It reads its own writes and those
// of earlier entries. It is valid only during Machine.Apply. What was
// written stays even if the machine answers with a refusal: check first,
// then write.
type Tx interface {
	Reader
	Set(key, value []byte) error
	Delete(key []byte) error
	// DeleteRange removes the rows from <= key < to. Meant for rare, large
	// removals: every one slows later scans a little until compacted.
	DeleteRange(from, to []byte) error
	// Index is the entry's position in the group's log, Term its Raft term:
	// together they name its bytes in the log.
	Index() rookery.LogIndex
	Term() uint64
	// Time is group time, unix nanoseconds: strictly greater than at any
	// earlier command of the group, and the same on every replica.
	Time() int64
	// Offset is where the command begins in the entry given to Apply.
	Offset() int
	// Replaying says that the command comes from an archive (see Group.Replay):
	// only what it does to accounts is wanted again.
	Replaying() bool
	// OnCommit calls fn after the batch is visible to readers, in order, on
	// the applying goroutine: fn must be short and must not block.
	OnCommit(fn func())
	// Forget drops the results kept for a node and refuses (ErrFenced) what it
	// sends, whenever it arrives, for ever. It is for a node that was removed.
	Forget(node rookery.NodeID) error
	// SetArchived says that the archive has every entry up to an index: what
	// was kept for it up to there goes. The first one begins the archive of the
	// group, whatever it says with its own entry: of each entry behind it, the
	// verdict is kept. An index at or below the last changes nothing; the error
	// is KindInvalid where it is above the entry's own.
	SetArchived(upto rookery.LogIndex) error
	// EndArchive keeps no verdicts any more, and drops those there are.
	EndArchive() error
}

// Machine gives the rows their meaning. It is deterministic: its results and
// rows follow from the entries alone. It must answer malformed commands with
// Refuse(rookery.KindInvalid, ...) and may panic only for broken invariants,
// which ends the process.
type Machine interface {
	// Apply executes one command. entry is the whole log entry, the command
	// is entry[tx.Offset():]; it is valid only during the call. The result
	// (see EncodeResult) is kept for retries and must not be changed later.
	Apply(tx Tx, entry []byte) (result []byte)
	// Restored is called when all rows have been replaced: drop every cache.
	Restored()
}
