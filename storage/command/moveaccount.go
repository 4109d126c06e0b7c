package command

import "rookery"

// MoveID numbers the moves of accounts between groups: the system group's log
// index of the BeginMove. A later move has a higher number.
type MoveID uint64

// MoveTurn is the log index in the source group at which a coordinator took a
// move over. What an earlier coordinator still sends is refused at both ends.
type MoveTurn = rookery.LogIndex

// MaxMoves bounds the moves under way in a cluster.
const MaxMoves = 256

// BeginMove begins to move an account to another group. The same again is
// answered with the move that is under way; KindExists where the account is
// there already, KindConflict where it moves elsewhere.
type BeginMove struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	To      rookery.GroupID   `cbor:"2,keyasint"`
}

// SwitchMove lets the map name the new group: from then on the move cannot be
// abandoned. It is proposed when the target has sealed what the source had
// frozen, and idempotent. KindConflict: the move was abandoned.
type SwitchMove struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Move    MoveID            `cbor:"2,keyasint"`
}

// AbandonMove gives a move up: the account stays where it is. KindConflict
// after SwitchMove. It is idempotent.
type AbandonMove struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Move    MoveID            `cbor:"2,keyasint"`
	// Reason is for operators, at most 500 bytes.
	Reason string `cbor:"3,keyasint,omitempty"`
}

// EndMove forgets a move whose both ends are settled; it is idempotent.
type EndMove struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Move    MoveID            `cbor:"2,keyasint"`
}

// BegunMove answers BeginMove.
type BegunMove struct {
	Move MoveID          `cbor:"1,keyasint"`
	From rookery.GroupID `cbor:"2,keyasint"`
}

// MoveOut begins or takes over a move in the source group: from then on what
// changes in the account is marked for copying. KindMoved: the account is not
// here; KindConflict: a later move has been here.
type MoveOut struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Move    MoveID            `cbor:"2,keyasint"`
	To      rookery.GroupID   `cbor:"3,keyasint"`
}

// MoveOutResult answers MoveOut.
type MoveOutResult struct {
	Turn MoveTurn `cbor:"1,keyasint"`
	// Shadow is the target's copy that Cursor is about; 0 for none.
	Shadow rookery.LogIndex `cbor:"2,keyasint,omitempty"`
	// Cursor is the last row of the first pass that is in the copy.
	Cursor []byte `cbor:"3,keyasint,omitempty"`
	Frozen bool   `cbor:"4,keyasint,omitempty"`
}

// MoveCopied records in the source how far the copy is.
type MoveCopied struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Move    MoveID            `cbor:"2,keyasint"`
	Turn    MoveTurn          `cbor:"3,keyasint"`
	// Shadow names the target's copy. Where it is another than before, the
	// first pass begins anew.
	Shadow rookery.LogIndex `cbor:"4,keyasint"`
	// Cursor, where set, is the last row of the first pass copied.
	Cursor []byte `cbor:"5,keyasint,omitempty"`
	// Index and Upto, where set, drop the marks up to the key Upto made at or
	// before Index: what the rows were then is in the copy.
	Index rookery.LogIndex `cbor:"6,keyasint,omitempty"`
	Upto  []byte           `cbor:"7,keyasint,omitempty"`
}

// MoveFreeze takes the account out of service in the source: commands and
// views are answered with KindMoved. KindConflict while rows of deleted
// mailboxes are still to be removed; PurgeExpunged goes on with that.
type MoveFreeze struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Move    MoveID            `cbor:"2,keyasint"`
	Turn    MoveTurn          `cbor:"3,keyasint"`
}

// MoveStop ends a move that was abandoned: the account serves in the source
// as before. It is proposed only after AbandonMove, and idempotent.
type MoveStop struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Move    MoveID            `cbor:"2,keyasint"`
}

// MoveGone removes the account from the source after Activate and leaves word
// that it is elsewhere. It is idempotent.
type MoveGone struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Move    MoveID            `cbor:"2,keyasint"`
}

// ImportBegin begins a copy of the account in the target, or takes one over:
// what an earlier turn still sends is refused from then on. KindConflict: a
// later turn or move has been here, or what an earlier copy left is not yet
// removed; PurgeExpunged goes on with that.
type ImportBegin struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Move    MoveID            `cbor:"2,keyasint"`
	Turn    MoveTurn          `cbor:"3,keyasint"`
	From    rookery.GroupID   `cbor:"4,keyasint"`
	// Fresh drops a copy that is there; the result's Shadow is 0 then.
	Fresh bool `cbor:"5,keyasint,omitempty"`
}

// ImportBegun answers ImportBegin.
type ImportBegun struct {
	// Shadow names the copy: the log index that began it.
	Shadow rookery.LogIndex `cbor:"1,keyasint,omitempty"`
}

// ImportRow is one row of an account: its key without the account, and its
// value. Gone says that the source has no such row.
type ImportRow struct {
	Key   []byte `cbor:"1,keyasint"`
	Value []byte `cbor:"2,keyasint,omitempty"`
	Gone  bool   `cbor:"3,keyasint,omitempty"`
}

// MaxImport bounds the rows of one Import.
const MaxImport = 4096

// Import writes rows into a copy: first Clear removes every row whose key has
// such a prefix, then Rows are set or removed. Contents of messages whose body
// is not here yet are left out and listed.
type Import struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Move    MoveID            `cbor:"2,keyasint"`
	Turn    MoveTurn          `cbor:"3,keyasint"`
	Clear   [][]byte          `cbor:"4,keyasint,omitempty"`
	Rows    []ImportRow       `cbor:"5,keyasint,omitempty"`
}

// ImportResult answers Import.
type ImportResult struct {
	Lacking []rookery.EmailID `cbor:"1,keyasint,omitempty"`
}

// ImportBody brings the content of one message with its body into a copy. The
// body is the payload or staged before, as in Deliver; its id is the index.
type ImportBody struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Move    MoveID            `cbor:"2,keyasint"`
	Turn    MoveTurn          `cbor:"3,keyasint"`
	Email   rookery.EmailID   `cbor:"4,keyasint"`
	// Record is the content's row.
	Record []byte `cbor:"5,keyasint"`
	// Size is the message's size in bytes as the client sees it.
	Size    int64   `cbor:"6,keyasint,omitempty"`
	Extract []byte  `cbor:"7,keyasint,omitempty"`
	Layout  []byte  `cbor:"8,keyasint,omitempty"`
	Staged  *Staged `cbor:"9,keyasint,omitempty"`
	// Arrived is when the body arrived at the source, group time in unix
	// nanoseconds; it is never 0.
	Arrived int64  `cbor:"10,keyasint,omitempty"`
	Payload []byte `cbor:"-"`
}

// ImportSeal ends the copying: the target compares what it has with what the
// frozen source counted, and keeps the account's own row for Activate.
// KindDamaged: they differ.
type ImportSeal struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Move    MoveID            `cbor:"2,keyasint"`
	Turn    MoveTurn          `cbor:"3,keyasint"`
	Record  []byte            `cbor:"4,keyasint"`
	// Rows and Digest are of all rows but the account's own.
	Rows   uint64   `cbor:"5,keyasint,omitempty"`
	Digest [16]byte `cbor:"6,keyasint"`
}

// Activate lets the sealed copy serve. It is proposed only after SwitchMove,
// and idempotent. KindNotFound: there is no copy; KindConflict: it is not
// sealed.
type Activate struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Move    MoveID            `cbor:"2,keyasint"`
}

// ImportDrop removes the copy of a move that was abandoned and leaves word
// that the account is in From. It is idempotent.
type ImportDrop struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Move    MoveID            `cbor:"2,keyasint"`
	From    rookery.GroupID   `cbor:"3,keyasint"`
}

func (*BegunMove) result()     {}
func (*MoveOutResult) result() {}
func (*ImportBegun) result()   {}
func (*ImportResult) result()  {}

// Touches implements Command.
func (c *BeginMove) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *SwitchMove) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *AbandonMove) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *EndMove) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *MoveOut) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *MoveCopied) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *MoveFreeze) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *MoveStop) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *MoveGone) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *ImportBegin) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *Import) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *ImportBody) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *ImportSeal) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *Activate) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *ImportDrop) Touches() Touch { return touch(c.Account) }

func (c *ImportBody) payload() []byte     { return c.Payload }
func (c *ImportBody) setPayload(p []byte) { c.Payload = p }
