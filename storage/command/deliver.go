package command

import "rookery"

// MaxChunk bounds the payload of one Stage in bytes. A body up to it travels
// inside its Deliver.
const MaxChunk = 256 << 10

// MaxDeliveries bounds the deliveries of one Deliver, those that its item owes
// to other groups included.
const MaxDeliveries = 1000

// Delivery files one message in one account.
type Delivery struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	// Mailbox is where to file; 0 is INBOX, or where Role says.
	Mailbox  rookery.MailboxID `cbor:"2,keyasint,omitempty"`
	Flags    Flags             `cbor:"3,keyasint,omitempty"`
	Keywords []string          `cbor:"4,keyasint,omitempty"`
	// InternalDate is unix seconds; 0 is the group's time of applying.
	InternalDate int64 `cbor:"5,keyasint,omitempty"`
	// WrappedKey is the message key, wrapped by the account's key.
	WrappedKey []byte `cbor:"6,keyasint,omitempty"`
	// Threads are keyed tokens of what names the conversation, best first;
	// the first 64 count.
	Threads [][8]byte `cbor:"7,keyasint,omitempty"`
	// Strict refuses (KindNotFound) where the mailbox is gone or no mailbox has
	// the role; else the message falls back to INBOX.
	Strict bool `cbor:"8,keyasint,omitempty"`
	// NoQuota files whatever the quota says: restore and administration.
	NoQuota bool `cbor:"9,keyasint,omitempty"`
	// UIDL is a POP3 unique id brought along by an import; empty is ours.
	UIDL string `cbor:"10,keyasint,omitempty"`
	// SaveDate is unix seconds (RFC 8514); 0 is the group's time of applying.
	SaveDate int64 `cbor:"11,keyasint,omitempty"`
	// Role, in place of Mailbox, is the special-use attribute of the mailbox to
	// file in (RFC 6154 2), such as \Junk: the one that has it when the command
	// is applied. Both at once are refused (KindInvalid).
	Role string `cbor:"12,keyasint,omitempty"`
}

// StageID names a body that travels in several entries: the N-th of a node's
// boot epoch.
type StageID struct {
	Node  rookery.NodeID `cbor:"1,keyasint"`
	Epoch uint64         `cbor:"2,keyasint,omitempty"`
	N     uint64         `cbor:"3,keyasint,omitempty"`
}

// Staged names the chunks a Deliver takes over as its body.
type Staged struct {
	Stage StageID `cbor:"1,keyasint"`
	Parts uint32  `cbor:"2,keyasint"`
}

// Deliver files one message in one or more accounts of the group. Its body
// is the payload (encoded, as storage/body emits it) or staged before.
type Deliver struct {
	Email      rookery.EmailID `cbor:"1,keyasint"`
	Deliveries []Delivery      `cbor:"2,keyasint,omitempty"`
	// Size is the message's size in bytes as the client sees it.
	Size int64 `cbor:"3,keyasint,omitempty"`
	// Extract is the sealed extract, Layout the body's layout.
	Extract []byte  `cbor:"4,keyasint,omitempty"`
	Layout  []byte  `cbor:"5,keyasint,omitempty"`
	Staged  *Staged `cbor:"6,keyasint,omitempty"`
	// Item, where set, is stored with a reference to the body, even where every
	// delivery here is refused.
	Item *Item `cbor:"7,keyasint,omitempty"`
	// FromItem, where set, makes each delivery idempotent: a second one of the
	// same item to the account files nothing and answers as the first did,
	// wherever the account has moved, until ItemForget.
	FromItem *ItemID `cbor:"8,keyasint,omitempty"`
	// Until, beside FromItem, is the group time, in unix nanoseconds, from
	// which on the command is refused (KindUnavailable): its sender may have
	// slept over the end of the item and of the marks that it was filed.
	// 0 is never.
	Until int64 `cbor:"9,keyasint,omitempty"`
	// Tells, where set, makes the message a notification of what became of rows
	// of this group's queue: it is accepted only where it is the first to tell.
	Tells *Tells `cbor:"10,keyasint,omitempty"`
	// Trace, where set, is kept beside what the command did. It never keeps a
	// message from being accepted.
	Trace *Trace `cbor:"11,keyasint,omitempty"`
	// Payload is the encoded body where Staged is nil.
	Payload []byte `cbor:"-"`
}

// Stage commits one chunk of a body, at most MaxChunk bytes, parts counted
// from 0 without gaps.
type Stage struct {
	Stage   StageID `cbor:"1,keyasint"`
	Part    uint32  `cbor:"2,keyasint,omitempty"`
	Payload []byte  `cbor:"-"`
}

// Abandon drops staged chunks. A Deliver naming them later is refused.
type Abandon struct {
	Stage StageID `cbor:"1,keyasint"`
	// Epoch, where set, drops every stage of Stage.Node older than
	// Stage.Epoch instead.
	Epoch bool `cbor:"2,keyasint,omitempty"`
}

// Touches implements Command.
func (c *Deliver) Touches() Touch {
	ids := make([]rookery.AccountID, len(c.Deliveries))
	for i := range c.Deliveries {
		ids[i] = c.Deliveries[i].Account
	}
	if c.Item != nil && c.Item.Rate != nil {
		ids = append(ids, c.Item.Account)
	}
	return touch(ids...)
}

// Touches implements Command.
func (*Stage) Touches() Touch { return Touch{Kind: TouchBodies} }

// Touches implements Command.
func (*Abandon) Touches() Touch { return Touch{Kind: TouchBodies} }

func (c *Deliver) payload() []byte     { return c.Payload }
func (c *Deliver) setPayload(p []byte) { c.Payload = p }
func (c *Stage) payload() []byte       { return c.Payload }
func (c *Stage) setPayload(p []byte)   { c.Payload = p }
