package peers

import (
	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/datadir"
	"rookery/protocols/proxy"
	"rookery/storage/account"
	"rookery/storage/command"
	"rookery/storage/holds"
	"rookery/storage/keys"
	"rookery/storage/mailbox"
)

// The calls of Raft groups: to the leader, or to one replica by another.
var (
	// Apply has the leader append an entry and gives its result.
	Apply = Call[Entry, Result]{"apply"}
	// ReadIndex asks the leader for the index that a read has to wait for.
	ReadIndex = Call[At, Position]{"readindex"}
	// Prompt has the leader tell the asker at once that an index is committed.
	Prompt = Call[At, Position]{"prompt"}
	// CurrentTerm asks for the term of the replica's last vote.
	CurrentTerm = Call[At, Position]{"term"}
	// Applied asks how far a replica's state machine has come.
	Applied = Call[At, Position]{"applied"}
	// LogRecord asks for an entry's record in the log, by index and term.
	LogRecord = Call[At, Record]{"record"}
	// Image streams a replica's state, at an index or later.
	Image = Stream[At]{"image"}
)

// The calls of nodes that have no replica of a group, to one that has.
var (
	// Forward has a replica pass an entry to the leader that it knows.
	Forward = Call[Entry, Result]{"forward"}
	// AccountFacts asks what delivery needs to know of an account.
	AccountFacts = GroupCall[rookery.AccountID, account.Facts]{"account"}
	// OpenItems asks for a page of the items that the group owes to others.
	OpenItems = GroupCall[ItemsAfter, []command.ItemID]{"items"}
	// KeyCensus counts the group's accounts by the tenant key that wraps theirs.
	KeyCensus = GroupCall[Nothing, mailbox.KeyCensus]{"keycensus"}
	// Strangers asks which of these packs the group does not know.
	Strangers = GroupCall[[]command.PackID, []command.PackID]{"strangers"}
	// Holds asks for the holds on the group's packs.
	Holds = GroupCall[Nothing, []holds.Hold]{"holds"}
	// CheckPacks streams what a check of the group's packs finds, as JSON.
	CheckPacks = Stream[GroupCheck]{"check"}
	// QueueRows asks for a page of what the group owes to other systems.
	QueueRows = GroupCall[QueueQuery, QueuePage]{"queue"}
	// BounceRows has some of it sent back to its senders, and gives how much.
	BounceRows = GroupCall[QueueBounce, Count]{"bounce"}
	// QueueContent asks for a part of a message that the group owes.
	QueueContent = GroupCall[QueueText, QueuePart]{"queuecontent"}
	// TraceLines asks for a page of what the group remembers of messages.
	TraceLines = GroupCall[TraceQuery, TracePage]{"trace"}
	// Session carries a client's session to a node that serves its account.
	Session = Tunnel[proxy.Session]{"session"}
)

// The calls of nodes about each other.
var (
	// AskReport asks how a node is.
	AskReport = Call[Nothing, Report]{"report"}
	// TrySettings asks whether a node can use settings that are to be written.
	TrySettings = Call[SettingsTrial, TrialResult]{"trysettings"}
	// Members asks who is a member, of a node that has heard more.
	Members = Call[Nothing, []datadir.Seed]{"members"}
	// Lineage tells how far this node's directory has come.
	Lineage = Call[Sign, Verdict]{"lineage"}
	// LeftStages asks a node which of these stages of its own it will never
	// deliver.
	LeftStages = Call[Stages, Stages]{"stages"}
	// ClientSessions asks for the sessions of clients that have signed in.
	ClientSessions = Call[SessionFilter, Sessions]{"sessions"}
	// EndSessions ends some, and gives how many.
	EndSessions = Call[SessionFilter, Count]{"endsessions"}
	// ArchiveNow has a node archive the groups that it leads, all of them or, with
	// Only, none, and tells how far each is.
	ArchiveNow = Call[ArchiveOrder, []ArchivePosition]{"archive"}
	// RecentLines asks for what a node has refused, and for sign-ins.
	RecentLines = Call[RecentQuery, Recents]{"recent"}
	// EraseProgress asks the leader of the system group how far the erasure of
	// accounts is.
	EraseProgress = Call[Nothing, Text]{"eraseprogress"}
)

// RingCalls are the calls about one key ring.
type RingCalls struct {
	// Held asks which keys a node holds.
	Held Call[Nothing, HeldKeys]
	// Get fetches one key.
	Get Call[Key, Key]
	// Put brings a key that is about to come into use.
	Put Call[Key, Nothing]
	// Sync has a node follow the cluster's record now.
	Sync Call[Nothing, HeldKeys]
}

// Ring are the calls about the ring of that name.
func Ring(name string) RingCalls {
	return RingCalls{
		Call[Nothing, HeldKeys]{name + "keysheld"}, Call[Key, Key]{name + "keyget"},
		Call[Key, Nothing]{name + "keyput"}, Call[Nothing, HeldKeys]{name + "keyssync"},
	}
}

// Entry is an entry to append to a group's log.
type Entry struct {
	Group rookery.GroupID `cbor:"1,keyasint"`
	Data  []byte          `cbor:"4,keyasint,omitempty"`
}

// Result is where an entry was appended, and what its command gave.
type Result struct {
	Index rookery.LogIndex `cbor:"1,keyasint,omitempty"`
	Data  []byte           `cbor:"3,keyasint,omitempty"`
}

// At names a place in a group's log, as far as the call needs it.
type At struct {
	Group rookery.GroupID  `cbor:"1,keyasint"`
	Index rookery.LogIndex `cbor:"2,keyasint,omitempty"`
	Term  uint64           `cbor:"3,keyasint,omitempty"`
}

// Position is a place in a group's log that a replica gives.
type Position struct {
	Index rookery.LogIndex `cbor:"1,keyasint,omitempty"`
	Term  uint64           `cbor:"2,keyasint,omitempty"`
}

// Record is an entry as the log holds it.
type Record struct {
	Data []byte `cbor:"3,keyasint,omitempty"`
}

// ItemsAfter asks for at most Limit open items behind one.
type ItemsAfter struct {
	After command.ItemID `cbor:"1,keyasint"`
	Limit int            `cbor:"2,keyasint"`
}

// GroupCheck is a check of one group.
type GroupCheck struct {
	Group rookery.GroupID `json:"group"`
	adminapi.CheckOrder
}

// Stages are stages in a question and its answer.
type Stages struct {
	Stages []command.StageID `cbor:"1,keyasint"`
}

// HeldKeys is what a node says of a key ring.
type HeldKeys struct {
	InUse  uint32                      `cbor:"1,keyasint"`
	Held   map[uint32]keys.Fingerprint `cbor:"2,keyasint"`
	Source string                      `cbor:"3,keyasint,omitempty"`
	// Sealed is the oldest version that a file of the node is sealed under; 0
	// where one lies in the clear.
	Sealed uint32 `cbor:"4,keyasint,omitempty"`
}

// Key is a key on its way, or, without the secret, the question for one.
type Key struct {
	Version uint32 `cbor:"1,keyasint"`
	Secret  []byte `cbor:"2,keyasint,omitempty"`
}

// Sign is what a node says of its data directory.
type Sign struct {
	// Run is random, of the process.
	Run string `cbor:"1,keyasint"`
	// Was is how the directory was found when the process began, Now is how far
	// it has come since.
	Was datadir.Moment `cbor:"2,keyasint"`
	Now datadir.Moment `cbor:"3,keyasint"`
}

// Verdict is the answer. Older is that the directory was found behind Last,
// which the node has told before.
type Verdict struct {
	Older bool           `cbor:"1,keyasint"`
	Last  datadir.Moment `cbor:"2,keyasint"`
}
