package command

import (
	"encoding/hex"

	"rookery"
)

// RestoreID names a restore of an account; it is random.
type RestoreID [16]byte

// String is the id in hexadecimal.
func (id RestoreID) String() string { return hex.EncodeToString(id[:]) }

// Bounds of a restore: bytes, and messages of one command.
const (
	MaxRestoreSpec = 16 << 10
	MaxRestoreBy   = 256
	MaxRestoreText = 500
	MaxRestored    = 500
)

// BeginRestore begins a restore into an account; the same again is Done. KindConflict:
// another one runs, or the account moves.
type BeginRestore struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Job     RestoreID         `cbor:"2,keyasint"`
	// Spec is what is wished, for whoever carries it out; no machine reads it.
	Spec []byte `cbor:"3,keyasint,omitempty"`
	// By is who wished it, for operators.
	By string `cbor:"4,keyasint,omitempty"`
}

// Restore files messages of an archive in a mailbox of the account, in the order of
// mailboxes and UIDs in the archive: Source is the mailbox that they were in. What lies
// before the last that the job has filed is passed over: a command may come twice,
// from two nodes. They get new UIDs.
// Nothing is judged or sent. KindNotFound: the job does not run (any more), there is
// no such mailbox, or a body's pack is gone.
type Restore struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Job     RestoreID         `cbor:"2,keyasint"`
	Source  rookery.MailboxID `cbor:"3,keyasint"`
	Target  rookery.MailboxID `cbor:"4,keyasint"`
	// Messages are at most MaxRestored.
	Messages []RestoredMessage `cbor:"5,keyasint"`
	// NoQuota files whatever the quota says.
	NoQuota bool `cbor:"6,keyasint,omitempty"`
	// Staged, or the payload, is the body of the one message, where that lies in no
	// pack.
	Staged  *Staged `cbor:"7,keyasint,omitempty"`
	Payload []byte  `cbor:"-"`
}

// RestoredMessage is one message as it was.
type RestoredMessage struct {
	SourceUID rookery.UID      `cbor:"1,keyasint"`
	Email     rookery.EmailID  `cbor:"2,keyasint"`
	Thread    rookery.ThreadID `cbor:"3,keyasint"`
	// Tokens are those of its conversation, Key is wrapped by the account's key.
	Tokens   [][8]byte `cbor:"4,keyasint,omitempty"`
	Key      []byte    `cbor:"5,keyasint,omitempty"`
	Flags    Flags     `cbor:"6,keyasint,omitempty"`
	Keywords []string  `cbor:"7,keyasint,omitempty"`
	Size     int64     `cbor:"8,keyasint,omitempty"`
	// Date and Saved are unix seconds.
	Date  int64  `cbor:"9,keyasint,omitempty"`
	Saved int64  `cbor:"10,keyasint,omitempty"`
	UIDL  string `cbor:"11,keyasint,omitempty"`
	// Body is needed where the account has no other copy of the message.
	Body *RestoredBody `cbor:"12,keyasint,omitempty"`
}

// RestoredBody is a body of the group, under the id that it had, in a pack; with no
// Pack it is a new one, the command's payload or staged.
type RestoredBody struct {
	ID      BodyID `cbor:"1,keyasint"`
	Encoded int64  `cbor:"2,keyasint,omitempty"`
	Layout  []byte `cbor:"3,keyasint,omitempty"`
	Extract []byte `cbor:"4,keyasint,omitempty"`
	Arrived int64  `cbor:"5,keyasint,omitempty"`
	Pack    PackID `cbor:"6,keyasint,omitempty"`
	Off     int64  `cbor:"7,keyasint,omitempty"`
}

// RestoreResult answers Restore.
type RestoreResult struct {
	Filed   uint32 `cbor:"1,keyasint,omitempty"`
	Skipped uint32 `cbor:"2,keyasint,omitempty"`
}

// RestoreOutcome is how a restore ended.
type RestoreOutcome uint8

// The outcomes; 0 is one that runs.
const (
	RestoreDone RestoreOutcome = iota + 1
	RestoreFailed
	RestoreCancelled
)

// EndRestore ends a restore; it is idempotent.
type EndRestore struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	Job     RestoreID         `cbor:"2,keyasint"`
	Outcome RestoreOutcome    `cbor:"3,keyasint"`
	// Text is for operators.
	Text string `cbor:"4,keyasint,omitempty"`
}

func (*RestoreResult) result() {}

// Touches implements Command.
func (c *BeginRestore) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *Restore) Touches() Touch { return touch(c.Account) }

// Touches implements Command.
func (c *EndRestore) Touches() Touch { return touch(c.Account) }

func (c *Restore) payload() []byte     { return c.Payload }
func (c *Restore) setPayload(p []byte) { c.Payload = p }
