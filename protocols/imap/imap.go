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
	"sync/atomic"
	"time"

	"rookery"
	"rookery/protocols/delivery"
	"rookery/protocols/imap/wire"
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
	draining atomic.Bool
	stopping chan struct{} // closed when draining begins

	mu        sync.Mutex
	sessions  map[*session]struct{}
	listeners map[net.Listener]struct{}
	slots     map[slot]int
	wg        sync.WaitGroup
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
		stopping:  make(chan struct{}),
		buffers:   wire.NewBuffers(),
		sessions:  make(map[*session]struct{}),
		listeners: make(map[net.Listener]struct{}),
		slots:     make(map[slot]int),
	}
	s.registry = newRegistry(s)
	return s
}

// Serve accepts connections until ctx ends, the listener is closed, or
// Shutdown is called; then it returns nil, while sessions go on. Sessions end
// with Shutdown only.
func (srv *Server) Serve(ctx context.Context, ln net.Listener, mode Mode) error {
	if mode.TLS && srv.o.TLS == nil {
		return rookery.E("serve IMAP", rookery.KindInvalid, errors.New("an implicit-TLS listener needs a TLS configuration"))
	}
	if !srv.addListener(ln) {
		return nil
	}
	defer srv.dropListener(ln)
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	for wait := time.Duration(0); ; {
		conn, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil || srv.draining.Load() || errors.Is(err, net.ErrClosed) {
				return nil
			}
			var t interface{ Temporary() bool }
			if !errors.As(err, &t) || !t.Temporary() {
				return rookery.E("accept IMAP connections", rookery.KindUnavailable, err)
			}
			// Out of file descriptors, say: others need time to leave.
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			case <-srv.stopping:
			}
			continue
		}
		wait = 0
		srv.start(conn, mode)
	}
}

// start gives a connection its session and first goroutine.
func (srv *Server) start(conn net.Conn, mode Mode) {
	s := newSession(srv, conn, mode)
	if !srv.enter(s) {
		s.refuse()
		return
	}
	go srv.run(s, s.begin)
}

// run takes one step of a session and starts the next one.
func (srv *Server) run(s *session, st step) {
	if next := s.take(st); next != nil {
		go srv.run(s, next)
		return
	}
	defer srv.wg.Done()
	s.end()
	srv.mu.Lock()
	delete(srv.sessions, s)
	srv.mu.Unlock()
}

func (srv *Server) addListener(ln net.Listener) bool {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.draining.Load() {
		ln.Close()
		return false
	}
	srv.listeners[ln] = struct{}{}
	return true
}

func (srv *Server) dropListener(ln net.Listener) {
	srv.mu.Lock()
	delete(srv.listeners, ln)
	srv.mu.Unlock()
	ln.Close()
}

// Shutdown stops accepting, says BYE to sessions that wait for input, lets
// running commands finish, and returns when all sessions have ended. When ctx
// ends first, what is left is cut off and ctx's error returned, after a few
// seconds even where a session does not end: it must not hold up the node.
func (srv *Server) Shutdown(ctx context.Context) error {
	srv.mu.Lock()
	if !srv.draining.Swap(true) {
		close(srv.stopping)
	}
	for ln := range srv.listeners {
		ln.Close()
	}
	for s := range srv.sessions {
		s.ring()
	}
	srv.mu.Unlock()
	done := make(chan struct{})
	go func() {
		srv.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	srv.mu.Lock()
	for s := range srv.sessions {
		s.cut()
	}
	srv.mu.Unlock()
	grace := time.NewTimer(cutGrace)
	defer grace.Stop()
	select {
	case <-done:
	case <-grace.C:
		srv.log.Warn("IMAP sessions do not end; stopping without them", "sessions", srv.Sessions(), "waited", cutGrace)
	}
	return ctx.Err()
}

// cutGrace is how long Shutdown waits for sessions it has cut off. Each looks
// at its context often, so one that takes longer has a fault.
const cutGrace = 5 * time.Second

// Sessions is the number of connections being served.
func (srv *Server) Sessions() int {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return len(srv.sessions)
}
