package smtp

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"time"

	"rookery/protocols/conns"
)

// wire stands between the connection, TLS or clear, and the protocol engine.
//
//   - The engine is given one command line at a time, so that it never holds
//     what it did not ask for: the session reads the message itself.
//   - Chunks (BDAT) pass the engine by, which would read them in a goroutine of
//     its own and give what becomes of one message to another.
//   - Replies are kept back until there is nothing left to read, so that
//     pipelined commands and the lines of EHLO leave in one write.
//   - STARTTLS moves the connection to a new wire, with a new engine behind it
//     that knows nothing of what came in clear.
//   - While a message arrives, the read deadline moves with its progress.
//   - After an error inside a message nothing more is ever read: what is left
//     of the message cannot be taken for commands.
//   - A drain wakes an idle connection; a busy one finishes first.
type wire struct {
	net.Conn          // socket, or tls
	socket   net.Conn // below TLS
	tls      *tls.Conn
	listener *listener
	limits   *Limits
	ip       string

	mu       sync.Mutex
	out      []byte // replies not sent yet
	outErr   error
	in       []byte    // read and not given out yet
	line     []byte    // what the engine reads next
	ended    bool      // the message has been read: the engine is owed its end
	deadline time.Time // of the command line, as the engine set it
	opening  time.Time // the deadline of greeting and handshake; zero once EHLO came
	mute     bool      // what the engine says next is not sent: a greeting that came in clear, or what the wire has answered
	response bool      // the next line answers a challenge
	extended bool      // EHLO, not HELO
	shaken   bool      // the TLS handshake is over
	moved    bool      // another wire has the connection
	greeted  bool
	session  *session // since EHLO
	message  bool     // a message arrives
	began    time.Time
	got      int64 // bytes of the message, roughly
	most     int64 // bytes read of a message, however long it is
	idle     bool  // waiting for a command
	draining bool
	farewell bool // closing because of the drain
	dead     bool // nothing more is read
	failures int  // sign-ins refused on this connection
}

// The bounds of wire.
const (
	outBuffer = 16 << 10
	// minRate is the slowest arrival of a message, in bytes a second, after
	// its first ten minutes.
	minRate = 1 << 10
)

func newWire(c net.Conn, l *listener) *wire {
	limits := &l.server.o.Limits
	return &wire{Conn: c, socket: c, listener: l, limits: limits, ip: conns.Host(c.RemoteAddr()), opening: time.Now().Add(limits.Handshake)}
}

// Client implements conns.Conn.
func (w *wire) Client() string { return w.ip }

// Listener implements conns.Conn.
func (w *wire) Listener() net.Listener { return w.listener.Listener }

// Cut implements conns.Conn.
func (w *wire) Cut() { w.socket.Close() }

// overTLS is the wire that goes on with w's connection under TLS. The handshake
// is part of its first read.
func (w *wire) overTLS() *wire {
	next := newWire(w.socket, w.listener)
	next.tls = tls.Server(w.socket, w.listener.server.o.TLS)
	next.Conn, next.failures = next.tls, w.failures
	return next
}

// Write keeps p until the next Read, Close, or until much has gathered.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.outErr != nil {
		return 0, w.outErr
	}
	if w.mute {
		w.mute = false
		return len(p), nil
	}
	w.response = bytes.HasPrefix(p, []byte("334 "))
	w.out = append(w.out, p...)
	if len(w.out) >= outBuffer {
		return len(p), w.flush(w.limits.Stall)
	}
	return len(p), nil
}

// flush sends what was kept. It is called with w.mu held and gives it up while
// it writes; only the session's own goroutine comes here.
func (w *wire) flush(timeout time.Duration) error {
	if len(w.out) == 0 || w.outErr != nil {
		return w.outErr
	}
	if w.tls != nil && !w.shaken {
		return io.EOF
	}
	out := w.out
	w.out = nil
	w.mu.Unlock()
	w.Conn.SetWriteDeadline(time.Now().Add(timeout))
	_, err := w.Conn.Write(out)
	w.mu.Lock()
	w.outErr = err
	if w.out == nil && cap(out) <= outBuffer/4 {
		w.out = out[:0]
	}
	return err
}

// fill sends what was kept and waits for input. It is called with w.mu held and
// gives it up while it waits.
func (w *wire) fill(p []byte) (int, error) {
	if err := w.prepare(); err != nil {
		return 0, err
	}
	w.idle = !w.message
	if err := w.Conn.SetReadDeadline(w.nextDeadline(time.Now())); err != nil {
		return 0, err
	}
	w.mu.Unlock()
	n, err := w.Conn.Read(p)
	w.mu.Lock()
	w.idle = false
	w.got += int64(n)
	if w.message && (err != nil || w.got > w.most) {
		w.dead = true
	}
	if n == 0 && err != nil && w.draining && !w.message {
		return 0, w.leave()
	}
	if n > 0 {
		err = nil
	}
	return n, err
}

// prepare does all that comes before waiting for the network.
func (w *wire) prepare() error {
	if w.dead {
		return io.EOF
	}
	if err := w.shake(); err != nil {
		return err
	}
	if !w.greeted {
		w.greeted = true
		if w.tooEarly() {
			w.dead = true
			w.out = append(w.out[:0], "554 5.5.1 Wait for the greeting before you talk\r\n"...)
			return io.EOF
		}
	}
	if err := w.flush(w.limits.Stall); err != nil {
		return err
	}
	// After flush, which gives up the lock: no drain slips in between this
	// look and the wait.
	if w.draining && !w.message {
		return w.leave()
	}
	return nil
}

// shake does the TLS handshake.
func (w *wire) shake() error {
	if w.tls == nil || w.shaken {
		return nil
	}
	if w.draining {
		return w.leave()
	}
	w.idle = true
	w.socket.SetDeadline(w.opening)
	w.mu.Unlock()
	err := w.tls.Handshake()
	w.mu.Lock()
	w.idle = false
	if err != nil {
		w.dead, w.outErr = true, err
		return io.EOF
	}
	w.shaken = true
	return nil
}

// tooEarly reports whether the client talks before it was greeted, which RFC
// 5321 3.1 forbids and only spammers do.
func (w *wire) tooEarly() bool {
	if w.limits.GreetingDelay <= 0 || w.listener.mode != MX {
		return false
	}
	if w.tls != nil {
		return false
	}
	w.mu.Unlock()
	defer w.mu.Lock()
	w.Conn.SetReadDeadline(time.Now().Add(w.limits.GreetingDelay))
	var one [1]byte
	n, _ := w.Conn.Read(one[:])
	return n > 0
}

// leave ends a drained connection. The session says 421 in Logout; before
// there is one, it is said here.
func (w *wire) leave() error {
	w.dead, w.farewell = true, true
	if w.session == nil {
		w.out = append(w.out, farewell...)
	}
	return io.EOF
}

const farewell = "421 4.3.2 Shutting down, try again later\r\n"

func (w *wire) nextDeadline(now time.Time) time.Time {
	t := w.deadline
	if w.message {
		t = now.Add(w.limits.Stall)
		slow := w.began.Add(10*time.Minute + time.Duration(w.got/minRate)*time.Second)
		if slow.Before(t) {
			t = slow
		}
	}
	if !w.opening.IsZero() && (t.IsZero() || w.opening.Before(t)) {
		t = w.opening
	}
	return t
}

// SetReadDeadline notes the deadline of a command; see nextDeadline.
func (w *wire) SetReadDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = t
	return nil
}

// SetWriteDeadline does nothing: flush has its own.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline is SetReadDeadline.
func (w *wire) SetDeadline(t time.Time) error { return w.SetReadDeadline(t) }

// Close sends what was kept and closes. A connection that was given up in the
// middle of input is first read for a moment, else the reset that follows
// unread data may overtake the last reply.
func (w *wire) Close() error {
	w.mu.Lock()
	if w.moved {
		w.mu.Unlock()
		return nil
	}
	w.flush(5 * time.Second)
	linger := w.dead && !w.farewell && w.outErr == nil
	w.dead = true
	w.mu.Unlock()
	defer w.listener.server.conns.Release(w)
	if c, ok := w.socket.(interface{ CloseWrite() error }); linger && ok {
		if w.tls != nil {
			w.tls.CloseWrite()
		}
		c.CloseWrite()
		w.socket.SetReadDeadline(time.Now().Add(time.Second))
		io.Copy(io.Discard, io.LimitReader(w.socket, 1<<20))
	}
	return w.Conn.Close()
}

// sessionBegan says that EHLO came: the opening is over.
func (w *wire) sessionBegan(s *session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.session, w.opening = s, time.Time{}
}

// messageBegins says that a message arrives.
func (w *wire) messageBegins() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.message, w.began, w.got = true, time.Now(), 0
	w.most = 2*w.listener.server.o.Deliver.MaxSize() + 1<<20
}

// messageEnds says that commands follow.
func (w *wire) messageEnds() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.message = false
}

// kill ends all reading; the reply being made is the last.
func (w *wire) kill() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead, w.in, w.line = true, nil, nil
}

// failed counts a refused sign-in.
func (w *wire) failed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures++
	return w.failures
}

// leaving reports whether the connection closes because of a drain.
func (w *wire) leaving() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.farewell
}

// Drain ends the connection when it is idle, else at its next idle moment.
func (w *wire) Drain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.draining = true
	if w.idle {
		w.socket.SetReadDeadline(time.Unix(1, 0))
	}
}
