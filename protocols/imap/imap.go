// Package imap serves IMAP4rev2 (RFC 9051) and IMAP4rev1 (RFC 3501) with the
// extensions its capabilities name, on mailboxes that are replicated.
//
// It owns connections, sessions and the commands: one registry holds every
// command with the states it is allowed in, and the capabilities follow from
// it. A session holds a list of UIDs shared with all others of its mailbox and
// the last MODSEQ it has told its client, and pulls what changed since. It
// never decides about storage, never writes past storage/account and
// protocols/delivery, and keeps nothing that outlives a connection.
package imap

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"rookery"
	"rookery/protocols/delivery"
	"rookery/protocols/imap/wire"
	"rookery/protocols/listen"
	"rookery/protocols/signin"
	"rookery/storage/account"
)

// Options are what a Server is made of. SignIn, Accounts and Deliver are
// required.
type Options struct {
	SignIn   *signin.Authenticator
	Accounts *account.Store
	Deliver  *delivery.Deliverer
	// TLS is used by implicit-TLS listeners and STARTTLS. Without it nobody
	// can sign in, because passwords travel under TLS only.
	TLS *tls.Config
	// Hostname names the server in its greeting.
	Hostname string
	// SessionsPerUser is how many connections one account may have from one
	// address, asked for at each sign-in; nil is 64. Only the newest is refused.
	// Microsoft's cloud serves all its users from few addresses, so there is no
	// limit by address alone.
	SessionsPerUser func() int
	// Limits with zero fields take the defaults.
	Limits Limits
	Logger *slog.Logger
	// Clock tells the time to SEARCH keys relative to now; default time.Now.
	Clock func() time.Time
	// Mounts gives the stores that an account's sessions see beside its own
	// mailboxes. nil: there are none.
	Mounts func(ctx context.Context, id rookery.AccountID) ([]Mount, error)
	// Observe hears of every answered command: its name, or "unknown", the
	// status of its answer, and how long it ran (0: it waited by its nature).
	// nil: nobody hears.
	Observe func(command, status string, took time.Duration)
}

// Mode is what a listener speaks from the first octet.
type Mode struct {
	// TLS: the handshake comes first (port 993). Else STARTTLS is offered.
	TLS bool
}

// Server serves any number of listeners. All methods may be called
// concurrently.
type Server struct {
	o        Options
	limits   Limits
	log      *slog.Logger
	registry *registry
	buffers  *wire.Buffers
	conns    *listen.Conns[*session]

	mu    sync.Mutex
	slots map[slot]int
}

// New makes a Server. It does no I/O.
func New(o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Hostname == "" {
		o.Hostname = "localhost"
	}
	s := &Server{
		o: o, limits: o.Limits.withDefaults(), log: o.Logger,
		buffers: wire.NewBuffers(),
		conns:   listen.NewConns[*session](),
		slots:   make(map[slot]int),
	}
	s.registry = newRegistry(s)
	return s
}

// Serve accepts connections until ctx ends, the listener fails, or Shutdown is
// called; the last gives nil. When ctx ends, connections are cut at once.
func (srv *Server) Serve(ctx context.Context, ln net.Listener, mode Mode) error {
	if mode.TLS && srv.o.TLS == nil {
		return rookery.E("serve IMAP", rookery.KindInvalid, errors.New("an implicit-TLS listener needs a TLS configuration"))
	}
	return srv.conns.Serve(ctx, ln, func(conn net.Conn) {
		s := newSession(srv, conn, mode)
		if s.listener = ln; !srv.conns.Add(s) {
			s.Cut()
			return
		}
		go srv.run(s, s.begin)
	})
}

// run takes one step of a session and starts the next one.
func (srv *Server) run(s *session, st step) {
	if next := s.take(st); next != nil {
		go srv.run(s, next)
		return
	}
	defer srv.conns.Remove(s)
	s.end()
}

// Shutdown stops accepting, says BYE to sessions that wait for input, lets
// running commands finish, and returns when all sessions have ended. When ctx
// ends first, what is left is cut off and ctx's error returned, after a few
// seconds even where a session does not end: it must not hold up the node.
func (srv *Server) Shutdown(ctx context.Context) error {
	err := srv.conns.Shutdown(ctx)
	if n := srv.Sessions(); n > 0 {
		srv.log.Warn("IMAP sessions do not end; stopping without them", "sessions", n)
	}
	return err
}

// Sessions is the number of connections being served.
func (srv *Server) Sessions() int { return srv.conns.Len() }
