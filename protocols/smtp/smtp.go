// Package smtp receives mail: from other servers (MX), from users (submission), and
// from applications and devices (relay). It owns the SMTP sessions, their limits and deadlines, the
// trace fields, and the one table from error kinds to replies.
//
// It never stores a message nor says where one goes (delivery does both), never
// decides what may come in (policy does), and never sends mail on to other
// systems.
package smtp

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"rookery"
	"rookery/directory"
	"rookery/protocols/delivery"
	"rookery/protocols/delivery/spool"
	"rookery/protocols/listen"
	"rookery/protocols/policy"
	"rookery/protocols/relay"
	"rookery/protocols/signin"
)

// Router says where mail for an address goes; delivery.Router does.
type Router interface {
	Route(ctx context.Context, addr rookery.Address) (delivery.Route, error)
	Account(ctx context.Context, e directory.Entry) (rookery.AccountID, error)
	// Sender is the reverse path of what a mailbox forwards to another system.
	Sender(from string, by rookery.Address) (string, error)
}

// Deliverer takes messages; delivery.Deliverer does.
type Deliverer interface {
	Spool(lines spool.Lines, limit int64) *spool.Spool
	MaxSize() int64
	Check(ctx context.Context, id rookery.AccountID, size int64) error
	Deliver(ctx context.Context, r delivery.Request) error
}

// Relays says who may relay; relay.Gate does.
type Relays interface {
	// Client gives the grant of a client that has not signed in, nil for none.
	Client(addr netip.Addr, state *tls.ConnectionState) *relay.Grant
	// SignIn gives the grant of a credential, and Renew what it is by now.
	SignIn(ctx context.Context, at signin.Attempt, c signin.Credentials) (*relay.Grant, error)
	Renew(*relay.Grant) (*relay.Grant, error)
	// SignIns is what limits them.
	SignIns() *signin.Authenticator
}

// Mode is what a listener is for.
type Mode uint8

const (
	// MX takes mail for local recipients from anybody (port 25), with
	// STARTTLS where TLS is set up and without sign-in.
	MX Mode = iota
	// Submission takes mail from signed-in users after STARTTLS (port 587,
	// RFC 6409).
	Submission
	// Submissions is Submission with TLS from the first byte (port 465,
	// RFC 8314).
	Submissions
	// Relay takes mail for everybody from applications and devices that have a
	// grant, and nothing from others; STARTTLS is offered.
	Relay
)

func (m Mode) String() string {
	switch m {
	case Submission:
		return "submission"
	case Submissions:
		return "submissions"
	case Relay:
		return "relay"
	}
	return "mx"
}

// Options are what a Server is made of. Router, Deliver and Hostname are
// required, SignIn and TLS for everything but MX, Relays for Relay.
type Options struct {
	SignIn  *signin.Authenticator
	Router  Router
	Deliver Deliverer
	// Policy judges what comes; without chains everything goes on.
	Policy policy.Chains
	// TLS is used for STARTTLS and for Submissions.
	TLS *tls.Config
	// Relays says who may send through listeners of the mode Relay, and RelayTLS is
	// used there instead of TLS; nil is TLS.
	Relays   Relays
	RelayTLS *tls.Config
	// Hostname names this server in greetings and trace fields.
	Hostname string
	// Postmaster gets what is sent to <Postmaster> without a domain (RFC 5321
	// 4.1.1.3); zero, or nil, has it come again (450).
	Postmaster func() rookery.Address
	// Recipients is how many recipients a message may have, asked for with each
	// of them; nil, and anything above, is 1,000.
	Recipients func() int
	Limits     Limits
	Logger     *slog.Logger
	// Clock stamps trace fields; default time.Now.
	Clock func() time.Time
	// Observe hears of MAIL, RCPT, DATA (which BDAT is too) and AUTH: the code
	// they were answered with and how long they took, for DATA the message's
	// way here included. nil: nobody hears.
	Observe func(command string, code int, took time.Duration)
}

// Limits bound what a client costs. Zero values mean the defaults given.
type Limits struct {
	Unknown       int           // unknown recipients before the connection closes; 100
	LineLength    int           // of a command line or a response of AUTH, in bytes; 4 KiB
	GreetingDelay time.Duration // how long MX waits for clients that talk too early; 0 does not look
	Handshake     time.Duration // from accept or STARTTLS to EHLO; 60 s
	Command       time.Duration // for each command line; 5 min (RFC 5321 4.5.3.2.7)
	Stall         time.Duration // without a byte of a message; 3 min (RFC 5321 4.5.3.2.5)
	Lookup        time.Duration // for a recipient or a sign-in; 30 s
	Commit        time.Duration // from the end of a message to its reply; 4 min
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		v   *int
		def int
	}{
		{&l.Unknown, 100}, {&l.LineLength, 4 << 10},
	} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&l.Handshake, time.Minute}, {&l.Command, 5 * time.Minute}, {&l.Stall, 3 * time.Minute},
		{&l.Lookup, 30 * time.Second}, {&l.Commit, 4 * time.Minute},
	} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	return l
}

// Server serves any number of listeners. All methods may be called
// concurrently.
type Server struct {
	o       Options
	buffers sync.Pool // *[]byte of copyBuffer
	conns   *listen.Conns[*conn]
}

// copyBuffer is how much of a message is moved at once, in bytes.
const copyBuffer = 64 << 10

// recipients is how many recipients a message may have now.
func (o *Options) recipients() int {
	if o.Recipients == nil {
		return delivery.MaxRecipients
	}
	return min(o.Recipients(), delivery.MaxRecipients)
}

// New makes a Server. It does no I/O.
func New(o Options) *Server {
	o.Limits = o.Limits.withDefaults()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.RelayTLS == nil {
		o.RelayTLS = o.TLS
	}
	if o.Postmaster == nil {
		o.Postmaster = func() rookery.Address { return rookery.Address{} }
	}
	return &Server{
		o:       o,
		buffers: sync.Pool{New: func() any { b := make([]byte, copyBuffer); return &b }},
		conns:   listen.NewConns[*conn](),
	}
}
