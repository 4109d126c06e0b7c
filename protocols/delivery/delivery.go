// Package delivery is the one road for a new message: what SMTP has received,
// what IMAP appends, what is imported or restored. It owns the spool between
// the wire and the storage, the line-ending policy, the grouping of recipients
// by the Raft group of their account, the staging of large bodies within a
// bound of bytes, and the fan-out to further groups that follows an
// acknowledged message.
//
// It never speaks a protocol, never decides who may send to whom, and never
// reports success before a quorum has the message.
package delivery

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"rookery"
	"rookery/storage/account"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// Options are what a Deliverer is made of. Accounts, Log, Machine and Groups
// are required.
type Options struct {
	// Accounts opens the recipients' accounts.
	Accounts *account.Store
	// Log is the road of commands, the same that Accounts uses.
	Log account.Log
	// Machine gives a group's machine; nil where this node has no replica.
	Machine func(rookery.GroupID) *mailbox.Machine
	// Groups are the mail groups whose intents Run finishes.
	Groups []rookery.GroupID
	// Node names this node in stage ids. A random 64-bit epoch, made by New,
	// keeps the stages of two lives of a process apart.
	Node rookery.NodeID
	// TempDir holds spool overflow; "" is the system's.
	TempDir string
	// MaxSize is the largest message in bytes; 0 is 64 MiB.
	MaxSize int64
	// Leader reports whether this node should finish the intents of a group
	// now; nil means always. Two nodes doing so at once cost work, never a
	// second copy.
	Leader func(rookery.GroupID) bool
	// Logger gets one INFO line per accepted message; nil discards.
	Logger *slog.Logger
	// Clock stamps internal dates; default time.Now.
	Clock func() time.Time
}

// Deliverer files messages. All methods may be called concurrently.
type Deliverer struct {
	o      Options
	epoch  uint64
	wake   chan struct{} // an intent is waiting; cap 1
	mu     sync.Mutex
	serial uint64
}

// MaxMessage is the default size limit in bytes.
const MaxMessage = 64 << 20

// Spool makes an empty spool with the deliverer's directory. A limit of 0 is
// the deliverer's own.
func (d *Deliverer) Spool(lines Lines, limit int64) *Spool {
	if limit <= 0 {
		limit = d.MaxSize()
	}
	return NewSpool(SpoolOptions{Dir: d.o.TempDir, Limit: limit, Lines: lines})
}

// MaxSize is the largest message accepted, in bytes.
func (d *Deliverer) MaxSize() int64 { return d.o.MaxSize }

// Recipient is one envelope recipient that has an account here.
type Recipient struct {
	Address rookery.Address
	Account rookery.AccountID
}

// Request is one message with its envelope.
type Request struct {
	// From is the reverse path as text; "" is the null sender.
	From string
	// Recipients are never empty. Several addresses of one account file one
	// copy.
	Recipients []Recipient
	// Trace is put before the message: Return-Path and Received fields, whole
	// lines with CRLF.
	Trace []byte
	// Spool holds the finished message. It stays the caller's to close.
	Spool *Spool
	// Session and ID name the session and the message in the log line.
	Session, ID string
}

// Filed is where an appended message lies.
type Filed struct {
	UIDValidity rookery.UIDValidity
	UID         rookery.UID
	ModSeq      rookery.ModSeq
	Email       rookery.EmailID
}

// New makes a Deliverer. It does no I/O.
func New(o Options) *Deliverer { panic("delivery: not yet") }

// Check reports whether an account can take a message of the size: KindOverQuota
// when it is full, as far as this node knows. size 0 asks whether it is full
// already.
func (d *Deliverer) Check(ctx context.Context, id rookery.AccountID, size int64) error {
	panic("delivery: not yet")
}

// Deliver files a message for all its recipients, and returns nil when a quorum
// has it. Recipients in further groups get theirs shortly after, through a
// durable intent committed with the message. KindOverQuota only when no
// recipient has room; KindUnavailable and KindUnknown are temporary.
func (d *Deliverer) Deliver(ctx context.Context, r Request) error { panic("delivery: not yet") }

// Append files a message in one mailbox, with flags, keywords and internal date
// (the zero time is now), as IMAP APPEND wants: KindNotFound when the mailbox
// does not exist, KindOverQuota when it is full. An appended message is always
// filed, however many like it exist.
func (d *Deliverer) Append(ctx context.Context, a *account.Account, mailbox rookery.MailboxID,
	flags command.Flags, keywords []string, date time.Time, spool *Spool) (Filed, error) {
	panic("delivery: not yet")
}

// Run finishes the intents of messages for several groups until ctx ends: those
// of this process as they arise, and those that a stopped process left.
func (d *Deliverer) Run(ctx context.Context) error { panic("delivery: not yet") }
