package smtp

import (
	"bytes"
	"io"
	"net"
	"sync"
	"time"
)

// wire stands between the socket and the protocol engine, below TLS.
//
//   - Replies are kept back until the engine reads again, so that pipelined
//     commands and the lines of EHLO leave in one write.
//   - While a message arrives, the read deadline moves with its progress, and
//     before each wait for the network the engine's read is interrupted once
//     (errPause), so that the session sees what has arrived.
//   - After an error inside a message nothing more is ever read: what is left
//     of the message cannot be taken for commands.
//   - A drain wakes an idle connection; a busy one finishes first.
type wire struct {
	net.Conn
	listener *listener
	limits   *Limits
	ip       string

	mu       sync.Mutex
	out      []byte // replies not sent yet
	outErr   error
	buf      []byte    // for reading ahead while a message arrives
	in       []byte    // of buf, not given out yet
	deadline time.Time // of the command line, as the engine set it
	opening  time.Time // the deadline of greeting and handshake; zero once EHLO came
	greeted  bool
	session  bool // EHLO came
	message  bool // a message arrives
	pausing  bool // interrupt reads of the message
	paused   bool // the next read is not interrupted
	hurry    bool // what has arrived looks finished: wait less
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
	inBuffer  = 32 << 10
	// minRate is the slowest arrival of a message, in bytes a second, after
	// its first ten minutes.
	minRate = 1 << 10
	// hurryStall is how long a message is waited for that looks finished to
	// other parsers.
	hurryStall = 20 * time.Second
)

// errPause interrupts a read before it waits. It calls itself temporary, so
// that neither crypto/tls nor bufio take it for the end.
type errPause struct{}

func (errPause) Error() string   { return "smtp: the message pauses" }
func (errPause) Timeout() bool   { return false }
func (errPause) Temporary() bool { return true }

func newWire(c net.Conn, l *listener) *wire {
	ip := c.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(ip); err == nil {
		ip = host
	}
	limits := &l.server.o.Limits
	return &wire{Conn: c, listener: l, limits: limits, ip: ip, opening: time.Now().Add(limits.Handshake)}
}

// startTLS is how the engine announces the handshake.
var startTLS = []byte("220 2.0.0 Ready to start TLS\r\n")

// Write keeps p until the next Read, Close, or until much has gathered.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.outErr != nil {
		return 0, w.outErr
	}
	w.out = append(w.out, p...)
	if bytes.Equal(p, startTLS) {
		w.opening = time.Now().Add(w.limits.Handshake)
		w.session = false
	}
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

// Read sends what was kept, then waits for input.
func (w *wire) Read(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.in) > 0 {
		return w.give(p), nil
	}
	if err := w.prepare(); err != nil {
		return 0, err
	}
	buf := p
	if w.message && len(p) < inBuffer {
		if w.buf == nil {
			w.buf = make([]byte, inBuffer)
		}
		buf = w.buf
	}
	w.idle = !w.message
	if err := w.Conn.SetReadDeadline(w.nextDeadline(time.Now())); err != nil {
		return 0, err
	}
	w.mu.Unlock()
	n, err := w.Conn.Read(buf)
	w.mu.Lock()
	w.idle = false
	w.got += int64(n)
	if w.message && (err != nil || w.got > w.most) {
		w.dead = true
	}
	if n == 0 && err != nil && w.draining && !w.message {
		return 0, w.leave()
	}
	if w.message && len(p) < inBuffer {
		w.in = buf[:n]
		n = w.give(p)
	}
	return n, err
}

// give hands out what was read ahead.
func (w *wire) give(p []byte) int {
	n := copy(p, w.in)
	if w.in = w.in[n:]; len(w.in) == 0 {
		w.in = nil
		if !w.message {
			w.buf = nil
		}
	}
	return n
}

// prepare does all that comes before waiting for the network.
func (w *wire) prepare() error {
	if w.dead {
		return io.EOF
	}
	if w.message && w.pausing && !w.paused {
		w.paused = true
		return errPause{}
	}
	w.paused = false
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

// tooEarly reports whether the client talks before it was greeted, which RFC
// 5321 3.1 forbids and only spammers do.
func (w *wire) tooEarly() bool {
	if w.limits.GreetingDelay <= 0 || w.listener.mode != MX {
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
	if !w.session && w.listener.mode != Submissions {
		w.out = append(w.out, farewell...)
	}
	return io.EOF
}

const farewell = "421 4.3.2 Shutting down, try again later\r\n"

func (w *wire) nextDeadline(now time.Time) time.Time {
	t := w.deadline
	if w.message {
		stall := w.limits.Stall
		if w.hurry {
			stall = min(stall, hurryStall)
		}
		t = now.Add(stall)
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
	w.flush(5 * time.Second)
	linger := w.dead && !w.farewell && w.outErr == nil
	w.dead = true
	w.mu.Unlock()
	defer w.listener.server.release(w)
	if c, ok := w.Conn.(interface{ CloseWrite() error }); linger && ok {
		c.CloseWrite()
		w.Conn.SetReadDeadline(time.Now().Add(time.Second))
		io.Copy(io.Discard, io.LimitReader(w.Conn, 1<<20))
	}
	return w.Conn.Close()
}

// sessionBegan says that EHLO came: the opening is over.
func (w *wire) sessionBegan() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.session, w.opening = true, time.Time{}
}

// messageBegins says that a message arrives. With pausing the session is
// shown what has arrived before each wait.
func (w *wire) messageBegins(pausing bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.message, w.pausing, w.paused, w.hurry = true, pausing, false, false
	w.began, w.got = time.Now(), 0
	w.most = 2*w.listener.server.o.Deliver.MaxSize() + 1<<20
}

// messageRead says that the session has seen enough: reads are not
// interrupted any more.
func (w *wire) messageRead() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pausing = false
}

// messageEnds says that commands follow.
func (w *wire) messageEnds() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.message, w.pausing, w.hurry = false, false, false
	if len(w.in) == 0 {
		w.buf = nil
	}
}

// wait says whether the message looks finished.
func (w *wire) wait(hurry bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hurry = hurry
}

// kill ends all reading; the reply being made is the last.
func (w *wire) kill() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead, w.in = true, nil
}

// over reports whether the connection is given up.
func (w *wire) over() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dead
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

// drain ends the connection when it is idle, else at its next idle moment.
func (w *wire) drain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.draining = true
	if w.idle {
		w.Conn.SetReadDeadline(time.Unix(1, 0))
	}
}
