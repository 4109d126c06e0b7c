// Package pop3 serves INBOX by POP3 (RFC 1939, 2449, 1734, 2595, 3206, 5034).
// It owns the protocol, its limits and deadlines, the frozen list of messages a
// session sees, and the table from error kinds to responses.
//
// It never locks a mailbox: any number of sessions and IMAP clients use it at
// once. A session sees the messages that were there at sign-in and are not
// marked \Deleted; what it deletes goes when it says QUIT, and only then. It
// never stores or sends a message, and never reveals a message's body in logs.
package pop3

import (
	"context"
	"crypto/tls"
	"log/slog"
	"time"

	"rookery"
	"rookery/protocols/listen"
	"rookery/protocols/signin"
	"rookery/storage/account"
)

// Accounts opens accounts; account.Store does.
type Accounts interface {
	Open(ctx context.Context, id rookery.AccountID) (*account.Account, error)
}

// Mode is what a listener is for.
type Mode uint8

const (
	// STLS begins in clear (port 110) and signs nobody in before STLS.
	STLS Mode = iota
	// TLS has TLS from the first byte (port 995).
	TLS
)

func (m Mode) String() string {
	if m == TLS {
		return "pop3s"
	}
	return "pop3"
}

// Options are what a Server is made of. SignIn, Accounts and Hostname are
// required.
type Options struct {
	SignIn   *signin.Authenticator
	Accounts Accounts
	// TLS is used for STLS and the TLS mode. Without it nobody can sign in.
	TLS *tls.Config
	// Hostname names this server in the greeting.
	Hostname string
	Limits   Limits
	Logger   *slog.Logger
	// Observe hears of every command: its name, or "unknown", whether the
	// answer was +OK, and how long it took. nil: nobody hears.
	Observe func(command string, ok bool, took time.Duration)
}

// Limits bound what a client costs. Zero values mean the defaults given.
type Limits struct {
	Errors int           // bad commands before the connection closes; 20
	SignIn time.Duration // from accept to the sign-in; 2 min
	Idle   time.Duration // for each command; 10 min (RFC 1939 3)
	Stall  time.Duration // for a client that takes no bytes; 5 min
	Work   time.Duration // for the work of one command; 2 min
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		v   *int
		def int
	}{{&l.Errors, 20}} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&l.SignIn, 2 * time.Minute}, {&l.Idle, 10 * time.Minute}, {&l.Stall, 5 * time.Minute}, {&l.Work, 2 * time.Minute}} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	return l
}

// Server serves any number of listeners. All methods may be called
// concurrently.
type Server struct {
	o     Options
	open  func(context.Context, rookery.AccountID) (maildrop, error)
	conns *listen.Conns[*conn]
}

// New makes a Server. It does no I/O.
func New(o Options) *Server {
	o.Limits = o.Limits.withDefaults()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{o: o, conns: listen.NewConns[*conn]()}
	s.open = s.openInbox
	return s
}
