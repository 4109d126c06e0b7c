package imap

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"rookery/protocols/imap/wire"
	"rookery/protocols/listen"
	"rookery/storage/account"
)

// session is one connection. Its goroutine owns everything but what mu guards.
type session struct {
	srv      *Server
	listener net.Listener // nil: another node
	id       string       // in logs
	raw      net.Conn     // as accepted: deadlines work here whatever lies above
	conn     net.Conn     // raw, or TLS above it
	in       *wire.Reader
	lex      *wire.Lexer
	out      *wire.Writer

	ctx    context.Context
	cancel context.CancelFunc

	state   states
	secure  bool // under TLS
	rev2    bool // ENABLE IMAP4rev2
	utf8    bool // ENABLE UTF8=ACCEPT
	modseqs bool // the client knows CONDSTORE
	qresync bool // ENABLE QRESYNC

	began time.Time // when the connection was accepted
	until time.Time // when it has been silent for too long
	rate  struct {  // the command being read
		since time.Time
		total int64
	}

	login    string
	slot     slot
	own      *ownStore // the account's mailboxes
	mounts   []Mount   // what is beside them
	onward   net.Conn  // to the node that serves the session
	sel      *selected
	idle     *account.Watch // in IDLE
	saved    savedSearch
	failures int // to sign in
	bads     int // BAD answers in a row

	tag  string
	name string    // of the command that runs, "unknown" before it is known
	ran  time.Time // when it began, zero where it is not measured
	done reply     // the tagged reply of the command that runs, where it is OK
	bye  bool      // close after this command

	mu      sync.Mutex
	leaving bool           // the account is not served here any more, or ended is set
	ended   string         // why an operator or the directory ends the session
	who     listen.Session // signed in and served here
	waiting bool           // blocked for input that may never come
	rung    bool           // ring was called
}

func newSession(srv *Server, conn net.Conn, mode Mode) *session {
	s := &session{srv: srv, id: strings.ToLower(rand.Text()[:13]), raw: conn, conn: conn, state: notAuthenticated, began: time.Now()}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if mode.TLS {
		s.conn, s.secure = tls.Server(conn, srv.o.TLS), true
	}
	s.in = wire.NewReader(s.conn, srv.buffers, s.beforeRead)
	s.out = wire.NewWriter(s.conn, srv.buffers, s.beforeWrite)
	s.lex = wire.NewLexer(s.in, func() error {
		s.out.Text("+ Ready\r\n")
		return s.out.Flush()
	})
	return s
}

var (
	errRung      = errors.New("woken")
	errTimeout   = errors.New("the client was silent for too long")
	errBadClient = errors.New("too many errors")
)

// beforeRead runs ahead of each read inside a command: output leaves before
// the server blocks, and the deadline moves with progress.
func (s *session) beforeRead() error {
	if err := s.out.Flush(); err != nil {
		return err
	}
	got := s.in.Total() - s.rate.total
	grace := s.srv.limits.Command + time.Duration(float64(got)/float64(s.srv.limits.MinRate)*float64(time.Second))
	deadline := s.rate.since.Add(grace)
	if s.state == notAuthenticated {
		if d := s.began.Add(s.srv.limits.SignIn); d.Before(deadline) {
			deadline = d
		}
	}
	return s.raw.SetReadDeadline(deadline)
}

func (s *session) beforeWrite() { s.raw.SetWriteDeadline(time.Now().Add(s.srv.limits.Write)) }

// measure starts the clock of a command or literal about to be read.
func (s *session) measure() {
	s.rate.since, s.rate.total = time.Now(), s.in.Total()
}

// ring interrupts a session that waits for input; one that is busy notices
// when it waits next. It may be called from anywhere.
func (s *session) ring() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting && !s.rung {
		s.raw.SetReadDeadline(time.Unix(1, 0))
	}
	s.rung = true
}

// Listener implements listen.Conn.
func (s *session) Listener() net.Listener { return s.listener }

// Drain implements listen.Conn.
func (s *session) Drain() { s.ring() }

// Cut implements listen.Conn.
func (s *session) Cut() {
	s.cancel()
	s.raw.Close()
}

// wait returns nil when input is there, errRung, errTimeout at the deadline,
// or the connection's error. It holds no buffer while it blocks.
func (s *session) wait(deadline time.Time) error {
	if s.in.Buffered() > 0 {
		return nil
	}
	if err := s.out.Flush(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.rung {
		s.rung = false
		s.mu.Unlock()
		return errRung
	}
	s.waiting = true
	err := s.raw.SetReadDeadline(deadline)
	s.mu.Unlock()
	if err == nil {
		err = s.in.Wait()
	}
	s.mu.Lock()
	s.waiting = false
	rung := s.rung
	if err != nil {
		s.rung = false
	}
	s.mu.Unlock()
	var t net.Error
	if errors.As(err, &t) && t.Timeout() {
		if rung {
			return errRung
		}
		return errTimeout
	}
	return err
}

// step is a part of a session's life; it gives the next one, nil at the end.
// Each runs on a goroutine of its own: a command leaves behind a stack several
// times the size that waiting needs, and most sessions wait.
type step func() step

// restAfter is how long a session may be silent before it is left to a fresh
// goroutine.
const restAfter = time.Second

// take runs one step and gives the next. A fault in it ends the session.
func (s *session) take(st step) (next step) {
	defer s.recover()
	return st()
}

// begin is the first step.
func (s *session) begin() step {
	if !s.handshake() {
		return nil
	}
	s.out.Text("* OK [CAPABILITY ").Text(s.srv.registry.capabilities(s)).Text("] ").
		Text(s.srv.o.Hostname).Text(" Rookery ready\r\n")
	return s.commands()
}

// commands serves commands while they come without long pauses.
func (s *session) commands() step {
	for {
		s.until = s.silence()
		soon := time.Now().Add(restAfter)
		err := s.wait(earlier(soon, s.until))
		if err == errTimeout && soon.Before(s.until) {
			return s.rest
		}
		if next, more := s.woken(err); !more {
			return next
		}
	}
}

// rest waits for the next command.
func (s *session) rest() step {
	next, more := s.woken(s.wait(s.until))
	if more {
		return s.commands()
	}
	return next
}

// woken runs the command that wait's nil announces. more: there may be another.
func (s *session) woken(err error) (next step, more bool) {
	switch {
	case err == errRung && !s.ending():
		return nil, true
	case err == nil:
		err = s.command()
	}
	switch {
	case err != nil:
		s.farewell(err)
	case s.bye:
		s.out.Flush()
	case s.onward != nil:
		return s.carry, false
	case s.idle != nil:
		return s.idling, false
	case s.in.Buffered() == 0 && s.ending():
		s.farewell(errRung)
	default:
		return nil, true
	}
	return nil, false
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// recover keeps a fault that one client has found from ending the node for
// all: the connection ends, and the log has the stack.
func (s *session) recover() {
	if fault := recover(); fault != nil {
		s.Cut()
		s.logger().Error("IMAP session failed; please report this", "fault", fault, "stack", string(debug.Stack()))
	}
}

// silence is until when the client may say nothing.
func (s *session) silence() time.Time {
	if s.state == notAuthenticated {
		return s.began.Add(s.srv.limits.SignIn)
	}
	return time.Now().Add(s.srv.limits.Inactive)
}

func (s *session) handshake() bool {
	t, ok := s.conn.(*tls.Conn)
	if !ok {
		return true
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.srv.limits.Handshake)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		s.srv.log.Debug("IMAP TLS handshake failed", "peer", s.peer(), "error", err)
		return false
	}
	return true
}

// farewell says BYE where the client can still hear it.
func (s *session) farewell(err error) {
	why := s.why()
	switch {
	case errors.Is(err, errRung) && why != "":
		s.out.Text("* BYE ").Text(why).CRLF()
	case errors.Is(err, errRung) && !s.srv.conns.Draining():
		s.out.Text("* BYE [UNAVAILABLE] The account is served by another node now; connect again\r\n")
	case errors.Is(err, errRung):
		s.out.Text("* BYE [UNAVAILABLE] The server is going down for maintenance; connect again\r\n")
	case errors.Is(err, errTimeout), isTimeout(err):
		s.out.Text("* BYE Autologout: the connection was silent for too long\r\n")
	case errors.Is(err, wire.ErrFlood):
		s.out.Text("* BYE [TOOBIG] The refused command cannot be skipped; closing the connection\r\n")
	case errors.Is(err, errBadClient):
		s.out.Text("* BYE Too many errors; closing the connection\r\n")
	default:
		if !errors.Is(err, io.EOF) {
			s.srv.log.Debug("IMAP connection lost", "peer", s.peer(), "login", s.login, "error", err)
		}
		return
	}
	s.out.Flush()
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// end gives back everything the session holds.
func (s *session) end() {
	s.stopIdle()
	s.sel = nil
	s.srv.release(s)
	if s.onward != nil {
		s.onward.Close()
	}
	s.in.Close()
	s.out.Flush()
	if t, ok := s.conn.(*tls.Conn); ok && s.ctx.Err() == nil {
		s.raw.SetDeadline(time.Now().Add(2 * time.Second))
		t.Close()
	}
	s.Cut()
}

// peer is the client's address without its port.
func (s *session) peer() string {
	a := s.raw.RemoteAddr()
	if a == nil {
		return ""
	}
	if host, _, err := net.SplitHostPort(a.String()); err == nil {
		return host
	}
	return a.String()
}

func (s *session) logger() *slog.Logger {
	return s.srv.log.With("session", s.id, "peer", s.peer(), "login", s.login)
}
