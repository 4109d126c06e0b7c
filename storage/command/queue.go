package command

import "rookery"

// ItemID names what a group owes for one message: an item of its queue.
type ItemID [16]byte

// ItemKind says what an item is for. What is for people goes before what tells
// of failures.
type ItemKind uint8

// The kinds.
const (
	// Message is a message on its way to those who did not get it with its
	// Deliver.
	Message ItemKind = iota + 1
	// Notification tells a sender what became of a message (RFC 3464).
	Notification
)

// RowKind says to whom a row of an item is owed.
type RowKind uint8

// The kinds.
const (
	// ToGroup is a row for accounts of another group.
	ToGroup RowKind = iota + 1
	// ToRemote is a row for a recipient in another system.
	ToRemote
)

// ItemRow is what an item owes to one receiver.
type ItemRow struct {
	Kind RowKind `cbor:"1,keyasint"`
	// Group is where the accounts of a row ToGroup were when the message was
	// accepted.
	Group      rookery.GroupID `cbor:"2,keyasint,omitempty"`
	Deliveries []Delivery      `cbor:"3,keyasint,omitempty"`
	// Recipient is who a row ToRemote is for, or a scheduled row ToGroup, sealed
	// under the item's day key.
	Recipient []byte `cbor:"4,keyasint,omitempty"`
}

// MaxSealed bounds what an item or a row has sealed, in bytes.
const MaxSealed = 4 << 10

// Item is what remains to be done for a message after its Deliver. Its rows are
// counted from 0.
type Item struct {
	ID   ItemID    `cbor:"1,keyasint"`
	Kind ItemKind  `cbor:"2,keyasint"`
	Rows []ItemRow `cbor:"3,keyasint"`
	// Day is the day whose key seals Key, Envelope and the rows' recipients; 0
	// where no row is ToRemote and it is not scheduled. The group has a key of
	// that day.
	Day uint32 `cbor:"4,keyasint,omitempty"`
	// Key is the message's key, Envelope its sender and what else SMTP said of
	// the message.
	Key      []byte `cbor:"5,keyasint,omitempty"`
	Envelope []byte `cbor:"6,keyasint,omitempty"`
	// Account is who sent it; zero where that is no account of this cluster.
	Account rookery.AccountID `cbor:"7,keyasint"`
	// Delay is how long after the Deliver rows ToRemote are due, nanoseconds.
	Delay int64 `cbor:"8,keyasint,omitempty"`
	// Held keeps rows ToRemote until they are released.
	Held bool `cbor:"9,keyasint,omitempty"`
	// MostItems and MostBytes refuse an item with rows ToRemote (KindLimit)
	// where the group has as much of them already; 0 is no bound.
	MostItems uint64 `cbor:"10,keyasint,omitempty"`
	MostBytes int64  `cbor:"11,keyasint,omitempty"`
	// Scheduled is group time, unix nanoseconds, before which no row is due; 0 is
	// at once. Such an item has a day and an account, whatever its rows are.
	Scheduled int64 `cbor:"12,keyasint,omitempty"`
	// MostScheduled refuses a scheduled item (KindLimit) where as many of its
	// account are not due yet; 0 is no bound.
	MostScheduled uint32 `cbor:"13,keyasint,omitempty"`
	// Rate bounds what its account sends to other systems; nil is no bound. The
	// account is one of the group.
	Rate *Rate `cbor:"14,keyasint,omitempty"`
	// Unusual is set by the machine: rows ToRemote are held, since the account
	// sends far more than it does.
	Unusual bool `cbor:"-"`
}

// Rate bounds what an account sends to other systems. 0 is no bound.
type Rate struct {
	// Most is the most recipients in an hour.
	Most uint32 `cbor:"1,keyasint,omitempty"`
	// Surprise is how many more recipients in an hour than is usual for the account
	// are unusual: what it sends is then held.
	Surprise uint32 `cbor:"2,keyasint,omitempty"`
}

// LetSend lets an account send again whose mail to other systems was unusual.
type LetSend struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
}

// Touches implements Command.
func (c *LetSend) Touches() Touch { return touch(c.Account) }

// RowRef names a row: the N-th of an item, counted from 0.
type RowRef struct {
	Item ItemID `cbor:"1,keyasint"`
	N    uint32 `cbor:"2,keyasint,omitempty"`
}

// MaxRows bounds the rows of one command.
const MaxRows = 1000

// Tells names the rows that a notification tells of, at most MaxRows. The
// Deliver is refused (KindConflict) where one of them has ended, or, with Delay,
// was told of before.
type Tells struct {
	Rows []RowRef `cbor:"1,keyasint"`
	// Delay tells that the rows are late, and leaves them; else they end.
	Delay bool `cbor:"2,keyasint,omitempty"`
	// Last is, for each row, what was heard, sealed under its item's day key; or
	// empty.
	Last [][]byte `cbor:"3,keyasint,omitempty"`
}

// ItemResult records that a row of an item is done. With the last row the item
// ends and lets go of its body. A row that has ended already is no error.
type ItemResult struct {
	Item ItemID `cbor:"1,keyasint"`
	Row  uint32 `cbor:"2,keyasint,omitempty"`
}

// ItemForget drops the marks of what was filed here for an item of another
// group. It is proposed only after the item itself ended.
type ItemForget struct {
	Item ItemID `cbor:"1,keyasint"`
}

// SetDayKey gives the group the key of a day, wrapped under a tenant key.
// Where it has one already, that stays.
type SetDayKey struct {
	Day uint32 `cbor:"1,keyasint"`
	Key []byte `cbor:"2,keyasint"`
}

// DayKeyResult answers SetDayKey with the wrapped key that the group has.
type DayKeyResult struct {
	Key []byte `cbor:"1,keyasint"`
}

// RewrapDayKeys is RewrapAccounts for the keys of days.
type RewrapDayKeys struct {
	Days []RewrappedDay `cbor:"1,keyasint"`
}

// RewrappedDay is the key of one day.
type RewrappedDay struct {
	Day uint32 `cbor:"1,keyasint"`
	Old []byte `cbor:"2,keyasint"`
	New []byte `cbor:"3,keyasint"`
}

// DropDayKeys drops the keys of days before one that no item is sealed under.
type DropDayKeys struct {
	Before uint32 `cbor:"1,keyasint"`
}

// Courier is a life of a node that sends mail to other systems.
type Courier struct {
	Node  rookery.NodeID `cbor:"1,keyasint"`
	Epoch uint64         `cbor:"2,keyasint,omitempty"`
}

// BeginAttempts gives rows ToRemote to a courier, who then sends. A row is given
// where it is not held, has not ended, and no other courier has it, except one
// of Gone: its lives are known to be over.
type BeginAttempts struct {
	By   Courier   `cbor:"1,keyasint"`
	Rows []RowRef  `cbor:"2,keyasint"`
	Gone []Courier `cbor:"3,keyasint,omitempty"`
	// Held gives held rows too, to be sent back; they are held again where that
	// fails.
	Held bool `cbor:"4,keyasint,omitempty"`
}

// EndAttempts records what became of rows that a courier had. What is done ends
// the row whoever has it; anything else is taken from the courier that has it.
// Rows that nobody has may be put off, where their next hop is known not to answer.
type EndAttempts struct {
	By   Courier      `cbor:"1,keyasint"`
	Rows []AttemptEnd `cbor:"2,keyasint"`
}

// AttemptEnd is how an attempt ended.
type AttemptEnd struct {
	Row RowRef `cbor:"1,keyasint"`
	// Done ends the row: the recipient's system has the message, or nobody is
	// to be told that it has not.
	Done bool `cbor:"2,keyasint,omitempty"`
	// Again is how long after the command the row is due again, nanoseconds.
	Again int64 `cbor:"3,keyasint,omitempty"`
	// Last is what was heard, sealed under the item's day key; none where nobody
	// was asked.
	Last []byte `cbor:"4,keyasint,omitempty"`
	// Hold keeps the row until it is released.
	Hold bool `cbor:"5,keyasint,omitempty"`
	// Untried says that nothing was tried: it counts as no attempt.
	Untried bool `cbor:"6,keyasint,omitempty"`
}

// Steering is what an operator wants of rows ToRemote, or of scheduled rows of
// either kind that are not due yet.
type Steering uint8

// The ways to steer.
const (
	// HoldRow keeps a row from being attempted until it is released.
	HoldRow Steering = iota + 1
	// ReleaseRow lets a held or scheduled row go, at once.
	ReleaseRow
	// RetryRow makes a row due at once, unless it is scheduled for later.
	RetryRow
	// RerouteRow sends a row to another next hop, at once; an empty one is what
	// routing says.
	RerouteRow
	// CancelRow ends a row, and nobody is told.
	CancelRow
	// StopRow holds a scheduled row that is due and that nobody has, since its
	// sender's account is disabled or gone; once, so that a release lets it go.
	StopRow
)

// SteerRows steers rows. Rows that a courier has are left, except that they may
// be held: they are when the attempt ends without success.
type SteerRows struct {
	How  Steering `cbor:"1,keyasint"`
	Rows []RowRef `cbor:"2,keyasint"`
	// NextHop is that of RerouteRow, host:port.
	NextHop string `cbor:"3,keyasint,omitempty"`
}

// RowsResult says for each row of a command whether it was done.
type RowsResult struct {
	Done []bool `cbor:"1,keyasint,omitempty"`
}

func (*DayKeyResult) result() {}
func (*RowsResult) result()   {}

// Touches implements Command.
func (*ItemResult) Touches() Touch { return Touch{Kind: TouchBodies} }

// Touches implements Command.
func (*ItemForget) Touches() Touch { return Touch{Kind: TouchAll} }

// Touches implements Command.
func (*SetDayKey) Touches() Touch { return Touch{Kind: TouchNone} }

// Touches implements Command.
func (*RewrapDayKeys) Touches() Touch { return Touch{Kind: TouchNone} }

// Touches implements Command.
func (*DropDayKeys) Touches() Touch { return Touch{Kind: TouchNone} }

// Touches implements Command.
func (*BeginAttempts) Touches() Touch { return Touch{Kind: TouchBodies} }

// Touches implements Command.
func (*EndAttempts) Touches() Touch { return Touch{Kind: TouchBodies} }

// Touches implements Command.
func (*SteerRows) Touches() Touch { return Touch{Kind: TouchBodies} }
