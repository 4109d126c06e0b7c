// Package policy judges mail on its way in: connections, senders, recipients
// and messages. It owns the actions a judgement can have, the chain that asks
// filters in turn, and the filters that need nothing but the message and the
// envelope.
//
// It never speaks SMTP, never routes, and never stores or alters a message:
// the session gives its replies, and delivery applies its fields.
package policy

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"rookery"
	"rookery/directory"
)

// Action is what is to be done. The graver ones have the greater numbers.
type Action uint8

const (
	// GoOn has no objection.
	GoOn Action = iota
	// Junk files the message in the mailbox of the role \Junk, or in INBOX where
	// an account has none. It and the next two answer a message only.
	Junk
	// Quarantine keeps the message where only an administrator sees it.
	Quarantine
	// Hold keeps the message until somebody releases it.
	Hold
	// Defer answers that the client shall try again (4yz).
	Defer
	// Refuse answers that it shall not (5yz).
	Refuse
	// Drop answers and closes the connection.
	Drop
)

func (a Action) String() string {
	return [...]string{"go on", "junk", "quarantine", "hold", "defer", "refuse", "drop"}[a]
}

// Reply is what the client is told: a code of RFC 5321 4.2.3, an enhanced code
// of RFC 3463, and one line of text.
type Reply struct {
	Code     int
	Enhanced [3]int
	Text     string
}

// Field is a header field, without line ends.
type Field struct{ Name, Value string }

// Verdict is a judgement. The zero value goes on.
type Verdict struct {
	Action Action
	// Reply is said for Defer, Refuse and Drop.
	Reply Reply
	// Add are fields to put before a message, first first.
	Add []Field
}

// Err is the verdict as an error: nil when the mail goes on its way.
func (v Verdict) Err() error {
	if v.Action < Defer {
		return nil
	}
	return &Refusal{v}
}

// Refusal is the verdict that ended a message's way.
type Refusal struct{ Verdict Verdict }

func (r *Refusal) Error() string {
	return fmt.Sprintf("policy: %v: %d %s", r.Verdict.Action, r.Verdict.Reply.Code, r.Verdict.Reply.Text)
}

// Connection is what is known of a client before it says anything.
type Connection struct {
	// Client is its address as text, without a port.
	Client string
	// TLS says that the connection is under TLS.
	TLS bool
	// Session names the session in logs and in ids that are made for it.
	Session string
}

// Sender is what MAIL FROM says (RFC 5321 4.1.1.2).
type Sender struct {
	// Address is the reverse path; zero is the null sender.
	Address rookery.Address
	// User has signed in; nil at port 25.
	User *directory.Entry
	// Relay says whom a client that relays may name as sender; nil elsewhere.
	Relay func(rookery.Address) bool
}

// Recipient is what RCPT TO says, and where mail for it goes.
type Recipient struct {
	Address rookery.Address
	// Local says that the address is in a domain of this system.
	Local bool
	// Forward is what Delivered-To says of a message that the recipient's mailbox has
	// forwarded before; empty where it forwards nothing.
	Forward string
}

// Content is a whole message; delivery.Spool is one. Head is its beginning, all
// of it or as much as is in memory, and valid as long as the message.
type Content interface {
	Head() []byte
	Size() int64
	Open() (io.ReadCloser, error)
}

// Message is a whole message and its name in logs.
type Message struct {
	Content
	ID     string
	header *Header
}

// Header is what the message's header says, read once.
func (m *Message) Header() *Header {
	if m.header == nil {
		h := readHeader(m.start(), m.Size())
		m.header = &h
	}
	return m.header
}

// MaxHeader is the largest header block that is judged, in bytes.
const MaxHeader = 256 << 10

// start is the beginning of the message with all of its header, where that is
// not larger than MaxHeader.
func (m *Message) start() []byte {
	head := m.Head()
	if int64(len(head)) == m.Size() || bytes.Contains(head, []byte("\r\n\r\n")) {
		return head
	}
	r, err := m.Open()
	if err != nil {
		return head
	}
	defer r.Close()
	all, err := io.ReadAll(io.LimitReader(r, MaxHeader))
	if err != nil {
		return head
	}
	return all
}

// Transaction judges what one connection brings, in the order of SMTP: any
// number of times OnMail, OnRecipient and OnMessage, and OnEnd once. It is
// asked by one goroutine at a time.
type Transaction interface {
	// OnConnect is asked when a session begins, OnHello with the name that the
	// client gives itself (RFC 5321 4.1.1.1).
	OnConnect(ctx context.Context) Verdict
	OnHello(ctx context.Context, name string) Verdict
	// OnMail begins a message and forgets one that was not completed.
	OnMail(ctx context.Context, s Sender) Verdict
	// OnRecipient is asked for each; a refusal is that recipient's only.
	OnRecipient(ctx context.Context, r Recipient) Verdict
	// OnMessage is asked when all of a message is here and nothing of it is
	// stored.
	OnMessage(ctx context.Context, m *Message) Verdict
	// OnEnd says that the connection is over.
	OnEnd()
}

// Filter begins transactions. It may be called concurrently.
type Filter interface {
	Begin(c Connection) Transaction
}

// Base goes on with everything. Filters embed it and answer what they judge.
type Base struct{}

// OnConnect implements Transaction.
func (Base) OnConnect(context.Context) Verdict { return Verdict{} }

// OnHello implements Transaction.
func (Base) OnHello(context.Context, string) Verdict { return Verdict{} }

// OnMail implements Transaction.
func (Base) OnMail(context.Context, Sender) Verdict { return Verdict{} }

// OnRecipient implements Transaction.
func (Base) OnRecipient(context.Context, Recipient) Verdict { return Verdict{} }

// OnMessage implements Transaction.
func (Base) OnMessage(context.Context, *Message) Verdict { return Verdict{} }

// OnEnd implements Transaction.
func (Base) OnEnd() {}
