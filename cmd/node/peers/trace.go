package peers

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/queue"
	"rookery/storage/trace"
)

// TraceQuery asks for what a group remembers of messages, from a time until
// before another, unix nanoseconds.
type TraceQuery struct {
	From  int64 `cbor:"1,keyasint"`
	Until int64 `cbor:"2,keyasint"`
	// Emails, where set, are the messages whose lines are wanted; else those that
	// were accepted and that Filter picks.
	Emails []rookery.EmailID `cbor:"3,keyasint,omitempty"`
	Filter TraceFilter       `cbor:"4,keyasint"`
}

// TraceFilter picks messages; what is empty picks all. Text is compared without
// regard to case.
type TraceFilter struct {
	ID        string `cbor:"1,keyasint,omitempty"`
	MessageID string `cbor:"2,keyasint,omitempty"` // without brackets
	Sender    string `cbor:"3,keyasint,omitempty"` // an address, or @domain
	Recipient string `cbor:"4,keyasint,omitempty"` // an address, or @domain
}

// TracePage are lines, the oldest first. Where there is more, it is from Next on.
type TracePage struct {
	Lines []TraceLine `cbor:"1,keyasint,omitempty"`
	Next  int64       `cbor:"2,keyasint,omitempty"`
}

// TraceLine is what a group remembers, opened; of a message that was accepted with
// all its facts in one.
type TraceLine struct {
	At    int64            `cbor:"1,keyasint"`
	Group rookery.GroupID  `cbor:"2,keyasint"`
	Kind  trace.Kind       `cbor:"3,keyasint"`
	Email rookery.EmailID  `cbor:"4,keyasint"`
	About rookery.EmailID  `cbor:"5,keyasint"`
	Facts trace.Facts      `cbor:"6,keyasint"`
	To    string           `cbor:"7,keyasint,omitempty"` // of a row of the queue
	Heard queue.Heard      `cbor:"8,keyasint"`
	How   command.Steering `cbor:"9,keyasint,omitempty"`
	Row   queue.Ref        `cbor:"10,keyasint"`
	// Places are where copies were filed; More counts others, Missed the accounts
	// that did not get theirs.
	Places []TracePlace `cbor:"11,keyasint,omitempty"`
	More   uint32       `cbor:"12,keyasint,omitempty"`
	Missed uint32       `cbor:"13,keyasint,omitempty"`
	// Trouble says why the line cannot be opened.
	Trouble string `cbor:"14,keyasint,omitempty"`
}

// TracePlace is where a copy was filed.
type TracePlace struct {
	Account rookery.AccountID `cbor:"1,keyasint"`
	// Mailbox is today's name; "" where it is gone.
	Mailbox string      `cbor:"2,keyasint,omitempty"`
	UID     rookery.UID `cbor:"3,keyasint"`
}

// RecentQuery asks for what a node has refused, and for sign-ins, in a span of
// unix nanoseconds, at most Limit, the newest.
type RecentQuery struct {
	From      int64  `cbor:"1,keyasint"`
	Until     int64  `cbor:"2,keyasint"`
	Sender    string `cbor:"3,keyasint,omitempty"`
	Recipient string `cbor:"4,keyasint,omitempty"`
	User      string `cbor:"5,keyasint,omitempty"`
	Client    string `cbor:"6,keyasint,omitempty"`
	Limit     int    `cbor:"7,keyasint"`
}

// Recents are lines of the log as JSON objects, the oldest first.
type Recents struct {
	Lines [][]byte `cbor:"1,keyasint,omitempty"`
	More  bool     `cbor:"2,keyasint,omitempty"`
}
