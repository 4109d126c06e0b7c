// Package delivery is the one road for a new message: what SMTP has received,
// what IMAP appends, what is imported or restored. Router says where mail for an
// address goes; Deliver has a message judged and files it; Append files it. It
// owns the last edits of what users send (Bcc, 7 bit, signatures), the grouping of
// recipients by the Raft group of their account, the staging of large bodies within
// a bound of bytes, and the fan-out to further groups that follows an acknowledged
// message. The message itself lies in a spool.Spool until then.
//
// It never speaks a protocol, never decides who may send to whom (policy does),
// and never reports success before a quorum has the message.
package delivery

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"rookery"
	"rookery/protocols/delivery/spool"
	"rookery/protocols/policy"
	"rookery/storage/account"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/propose"
)

// Options are what a Deliverer is made of. Accounts, Log, Machine, ReadBody,
// Groups, Node and Epoch are required.
type Options struct {
	// Accounts opens the recipients' accounts.
	Accounts *account.Store
	// Log is the road of commands, the same that Accounts uses.
	Log account.Log
	// Machine gives a group's machine; nil where this node has no replica.
	Machine func(rookery.GroupID) *mailbox.Machine
	// ReadBody fills p with bytes of a stored body, encoded as it lies in the
	// log or in a pack.
	ReadBody func(ctx context.Context, group rookery.GroupID, b mailbox.Body, p []byte, off int64) error
	// OpenItems asks another node for a page of the open items of a group
	// that has no replica here, behind a read barrier. nil: nobody can be
	// asked, and marks of finished items stay.
	OpenItems func(ctx context.Context, group rookery.GroupID, after command.ItemID, limit int) ([]command.ItemID, error)
	// Groups are the mail groups there are now.
	Groups func() []rookery.GroupID
	// Days gives the keys that seal what is on its way to other systems; nil:
	// nothing is sent there.
	Days Days
	// Signer signs what goes to other systems; nil: nothing is signed.
	Signer Signer
	// QueueLimit bounds what one group owes to other systems, asked for with
	// each message; nil is no bound.
	QueueLimit func() Limit
	// Rate bounds what an account sends to other systems with an address of a
	// domain, asked for with each message; nil is no bound.
	Rate func(domain string) command.Rate
	// Disabled reports whether an account is known as disabled, or is gone; nil:
	// none is.
	Disabled func(ctx context.Context, account rookery.AccountID) bool
	// Name is what operators call this node.
	Name string
	// Node and Epoch name this life of this node in stage ids. Epoch counts
	// the node's starts: a later one is greater, as in state.Header.
	Node  rookery.NodeID
	Epoch uint64
	// TempDir holds spool overflow; "" is the system's.
	TempDir string
	// MaxSize is the largest message in bytes, asked for with each message;
	// nil is always MaxMessage.
	MaxSize func() int64
	// Room says why no new message is taken for now, and nil while it is. nil:
	// there is always room.
	Room func() error
	// Leader reports whether this node leads a group and so files its messages
	// in further groups; nil means always.
	Leader func(rookery.GroupID) bool
	// Logger gets one INFO line per accepted message; nil discards.
	Logger *slog.Logger
	// Clock tells how old an item is; default time.Now.
	Clock func() time.Time
	// Observe hears what became of every message, by the road it came: smtp or
	// append. nil: nobody hears.
	Observe func(road string, err error, size int64, took time.Duration)
}

// Deliverer files messages. All methods may be called concurrently.
type Deliverer struct {
	o      Options
	times  times
	stages atomic.Uint64 // numbers the stages of this epoch
	fanout *fanout
	spools *spool.Budget // bytes of all spools
	spare  *spool.Budget // and of those what is in memory beyond each one's first

	mu      sync.Mutex
	budgets map[rookery.GroupID]*semaphore.Weighted
	staging map[command.StageID]bool // stages on their way
	marks   map[markKey]time.Time    // since when a finished item is known
}

// How many bytes of messages arrive at once at most, in memory and in temporary
// files together, and how much memory they take beyond 32 KiB each.
const (
	maxSpooled = 4 << 30
	maxSpare   = 64 << 20
)

// MaxMessage is the default size limit in bytes.
const MaxMessage = 64 << 20

// Spool makes an empty spool with the deliverer's directory. A limit of 0 is
// the deliverer's own.
func (d *Deliverer) Spool(lines spool.Lines, limit int64) *spool.Spool {
	if limit <= 0 {
		limit = d.MaxSize()
	}
	return spool.New(spool.Options{Dir: d.o.TempDir, Limit: limit, Lines: lines, Budget: d.spools, Spare: d.spare})
}

// MaxSize is the largest message accepted, in bytes.
func (d *Deliverer) MaxSize() int64 { return d.o.MaxSize() }

// Recipient is one envelope recipient that has an account here.
type Recipient struct {
	Address rookery.Address
	Account rookery.AccountID
}

// Request is one message with its envelope.
type Request struct {
	// From is the reverse path as text; "" is the null sender.
	From string
	// Recipients have accounts here. Several addresses of one account file one
	// copy.
	Recipients []Recipient
	// Remote are in other systems. There is at least one recipient of either
	// kind.
	Remote []RemoteRecipient
	// Sender is the account that sends the message; its group owes it to Remote.
	// Zero where the sender has none.
	Sender rookery.AccountID
	// Submitted says that somebody who has signed in sends the message: what it says
	// of hidden recipients is taken out, and for Remote it is brought to 7 bit and
	// signed.
	Submitted bool
	// Scheduled is before when nobody gets the message, at most MaxAhead from now;
	// zero is at once. Sender is its account then. It is signed when it is accepted:
	// its Date field says when it was written, and nothing of it changes later.
	Scheduled time.Time
	// EnvelopeID, Return and UTF8 are ENVID, RET (RFC 3461) and SMTPUTF8 (RFC
	// 6531) of MAIL.
	EnvelopeID, Return string
	UTF8               bool
	// Trace is put before the message: Return-Path and Received fields, whole
	// lines with CRLF.
	Trace []byte
	// Spool holds the finished message. It stays the caller's to close.
	Spool *spool.Spool
	// Tells makes the message a notification of rows in the queue of Group, which
	// accepts it only where it is the first to tell of them (KindConflict).
	Tells *command.Tells
	Group rookery.GroupID
	// Judge says whether the message may go on and what is added to it; nil
	// lets everything go.
	Judge policy.Transaction
	// Session and ID name the session and the message in the log and in the trace.
	Session, ID string
	// Source is who gave us the message; zero where that is ourselves.
	Source Source

	rewritten bool // Spool is the deliverer's own
}

// Source is who gave us a message, as the trace remembers it.
type Source struct {
	// Client is an address, Hello what it called itself, User who had signed in.
	Client, Hello, User string
	// Protocol is the "with" keyword of the Received field (RFC 5321 4.4), TLS the
	// version and cipher; "" without.
	Protocol, TLS string
}

// Filed is where an appended message lies.
type Filed struct {
	UIDValidity rookery.UIDValidity
	UID         rookery.UID
	ModSeq      rookery.ModSeq
	Email       rookery.EmailID
}

// New makes a Deliverer. It does no I/O.
func New(o Options) *Deliverer {
	if o.MaxSize == nil {
		o.MaxSize = func() int64 { return MaxMessage }
	}
	if o.Leader == nil {
		o.Leader = func(rookery.GroupID) bool { return true }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Deliverer{
		o:       o,
		times:   defaultTimes,
		fanout:  newFanout(),
		spools:  spool.NewBudget(maxSpooled),
		spare:   spool.NewBudget(maxSpare),
		budgets: make(map[rookery.GroupID]*semaphore.Weighted),
		marks:   make(map[markKey]time.Time),
		staging: make(map[command.StageID]bool),
	}
}

// Check reports whether an account can take a message of the size: KindOverQuota
// when it is full, as far as this node knows. size 0 asks whether it is full
// already.
func (d *Deliverer) Check(ctx context.Context, id rookery.AccountID, size int64) error {
	if err := d.Room(); err != nil {
		return err
	}
	a, err := d.o.Accounts.Open(ctx, id)
	if err != nil {
		return rookery.E("check recipient", rookery.KindUnknown, err)
	}
	return room(ctx, a, max(size, 1))
}

// room reports whether the account has room for size more bytes. Where this
// node cannot tell, the commit will.
func room(ctx context.Context, a *account.Account, size int64) error {
	x, err := a.Facts(ctx)
	if err != nil {
		return nil
	}
	if x.Quota > 0 && size > x.Quota-x.Used {
		return rookery.E("check recipient", rookery.KindOverQuota,
			fmt.Errorf("the mailbox is full: %d of %d bytes used", x.Used, x.Quota))
	}
	return nil
}

// apply has a group agree on a command and reads its result.
func (d *Deliverer) apply(ctx context.Context, group rookery.GroupID, c command.Command) (command.Result, rookery.LogIndex, error) {
	return propose.Command(ctx, d.o.Log, group, c)
}
