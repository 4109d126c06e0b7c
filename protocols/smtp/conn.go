package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"rookery/protocols/listen"
)

// conn is one client's connection: what is read from it and what is owed to it.
//
//   - Replies are kept until there is nothing left to read, so that those to
//     pipelined commands leave in one write (RFC 2920 3.2).
//   - While a message arrives, the read deadline moves with its progress.
//   - After an error inside a message nothing more is ever read: what is left
//     of the message cannot be taken for commands.
//   - A drain wakes an idle connection; a busy one finishes first.
//
// All but Listener, Drain and Cut is for the connection's goroutine.
type conn struct {
	server   *Server
	listener *listener
	socket   net.Conn
	link     net.Conn             // socket, or TLS over it
	tls      *tls.ConnectionState // nil in clear
	ip       string
	ctx      context.Context

	in      []byte    // read and not used yet
	out     []byte    // replies not sent yet
	sendErr error     // nothing more can be sent
	closing bool      // nothing more is read
	linger  bool      // closing in the middle of input
	opening time.Time // the deadline of handshake, greeting and EHLO; zero once EHLO came

	session   *session // since EHLO
	arriving  bool     // a message arrives
	began     time.Time
	got, most int64 // octets of the message so far, and before the connection closes
	bad       int   // commands that were none, since the last message
	failures  int   // sign-ins refused on this connection

	mu       sync.Mutex
	idle     bool // waiting for a command
	draining bool
	who      listen.Session // signed in
	goodbye  string         // why an operator or the directory ends the session
}

// The bounds of a connection.
const (
	// outBuffer is how many octets of replies are kept before they are sent.
	outBuffer = 16 << 10
	// minRate is the slowest arrival of a message, in octets a second, after
	// its first ten minutes.
	minRate = 1 << 10
	// maxBad is how many lines that are no commands end the connection.
	maxBad = 20
)

// errDraining ends the reading of a connection that a shutdown closes.
var errDraining = errors.New("the server is shutting down")

func newConn(ctx context.Context, nc net.Conn, l *listener) *conn {
	return &conn{server: l.server, listener: l, socket: nc, link: nc, ip: listen.Host(nc.RemoteAddr()), ctx: ctx,
		opening: time.Now().Add(l.server.o.Limits.Handshake)}
}

// Listener implements listen.Conn.
func (c *conn) Listener() net.Listener { return c.listener.Listener }

// Cut implements listen.Conn.
func (c *conn) Cut() { c.socket.Close() }

// Drain ends the connection when it is idle, else at its next idle moment.
func (c *conn) Drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	if c.idle {
		c.socket.SetReadDeadline(time.Unix(1, 0))
	}
}

// wait notes that the connection is idle until its deadline; errDraining when
// it may not be.
func (c *conn) wait(deadline time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining && !c.arriving {
		return errDraining
	}
	c.idle = !c.arriving
	return c.socket.SetReadDeadline(deadline)
}

// woke notes that the connection is not idle any more, and says whether a
// shutdown began.
func (c *conn) woke() (draining bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = false
	return c.draining
}

// serve talks to the client until the end of the connection. A fault in it is
// this connection's: it must not end the node.
func (c *conn) serve() {
	defer c.close()
	defer func() {
		if fault := recover(); fault != nil {
			c.server.o.Logger.Error("smtp: a session failed; please report this", "client", c.ip, "fault", fault, "stack", string(debug.Stack()))
			c.send(say(421, enhanced{4, 3, 0}, "The server failed, closing the connection; try again later"))
			c.hangUp()
		}
		if c.session != nil {
			c.session.end()
		}
	}()
	if c.listener.mode == Submissions && c.handshake() != nil {
		return
	}
	if c.tooEarly() {
		c.send(say(554, enhanced{5, 5, 1}, "Wait for the greeting before you talk"))
		c.hangUp()
		return
	}
	c.send(Reply{Code: 220, Text: c.server.o.Hostname + " ESMTP ready"})
	for !c.closing {
		line, err := c.readLine()
		if err != nil && !errors.Is(err, errLine) {
			c.ended(err)
			break
		}
		c.command(line, err)
	}
}

// ended says goodbye where the client did not go by itself.
func (c *conn) ended(err error) {
	c.closing = true
	switch {
	case errors.Is(err, errDraining) && c.why() != "":
		c.send(say(421, enhanced{4, 7, 0}, c.why()))
	case errors.Is(err, errDraining):
		c.send(say(421, enhanced{4, 3, 2}, "Shutting down, try again later"))
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.send(say(421, enhanced{4, 4, 2}, "Timed out waiting for a command, closing the connection"))
	}
}

// hangUp ends all reading; the reply being made is the last.
func (c *conn) hangUp() { c.closing, c.linger, c.in = true, true, nil }

// tooEarly reports whether the client talks before it was greeted, which RFC
// 5321 3.1 forbids and only spammers do.
func (c *conn) tooEarly() bool {
	delay := c.server.o.Limits.GreetingDelay
	if delay <= 0 || c.listener.mode != MX || c.wait(time.Now().Add(delay)) != nil {
		return false
	}
	var one [1]byte
	n, _ := c.socket.Read(one[:])
	c.woke()
	return n > 0
}

// handshake begins TLS. What came in clear before is forgotten (RFC 3207 4.2).
func (c *conn) handshake() error {
	if c.session != nil {
		c.session.end()
	}
	c.in, c.session, c.opening = nil, nil, time.Now().Add(c.server.o.Limits.Handshake)
	t := tls.Server(c.socket, c.listener.tls())
	err := c.wait(c.opening)
	if err == nil {
		c.socket.SetWriteDeadline(c.opening)
		err = t.HandshakeContext(c.ctx)
		c.woke()
	}
	if err != nil {
		c.server.o.Logger.Debug("smtp: TLS handshake failed", "client", c.ip, "error", err)
		c.closing, c.sendErr = true, err
		return err
	}
	state := t.ConnectionState()
	c.link, c.tls = t, &state
	return nil
}

// send keeps a reply until the next read, the end, or until much has gathered.
func (c *conn) send(r Reply) {
	if c.out = appendReply(c.out, r); len(c.out) >= outBuffer {
		c.flush(c.server.o.Limits.Stall)
	}
}

// flush sends what was kept.
func (c *conn) flush(timeout time.Duration) error {
	if len(c.out) == 0 || c.sendErr != nil {
		return c.sendErr
	}
	c.socket.SetWriteDeadline(time.Now().Add(timeout))
	_, c.sendErr = c.link.Write(c.out)
	if c.out = c.out[:0]; cap(c.out) > outBuffer/4 {
		c.out = nil
	}
	return c.sendErr
}

// fill sends what was kept and waits for input.
func (c *conn) fill(p []byte) (int, error) {
	if c.closing {
		return 0, io.EOF
	}
	if err := c.flush(c.server.o.Limits.Stall); err != nil {
		return 0, err
	}
	if err := c.wait(c.deadline(time.Now())); err != nil {
		return 0, err
	}
	n, err := c.link.Read(p)
	draining := c.woke()
	c.got += int64(n)
	if c.arriving && (err != nil || c.got > c.most) {
		c.hangUp()
	}
	switch {
	case n > 0:
		return n, nil
	case err != nil && draining && !c.arriving:
		return 0, errDraining
	}
	return 0, err
}

// deadline is when what is awaited must have come.
func (c *conn) deadline(now time.Time) time.Time {
	limits := &c.server.o.Limits
	t := now.Add(limits.Command)
	if c.arriving {
		t = now.Add(limits.Stall)
		slow := c.began.Add(10*time.Minute + time.Duration(c.got/minRate)*time.Second)
		if slow.Before(t) {
			t = slow
		}
	}
	if !c.opening.IsZero() && c.opening.Before(t) {
		t = c.opening
	}
	return t
}

// messageBegins says that a message arrives.
func (c *conn) messageBegins() {
	c.arriving, c.began, c.got = true, time.Now(), 0
	c.most = 2*c.server.o.Deliver.MaxSize() + 1<<20
}

// messageEnds says that commands follow.
func (c *conn) messageEnds() { c.arriving = false }

// close sends what was kept and closes. A connection that was given up in the
// middle of input is first read for a moment, else the reset that follows
// unread data may overtake the last reply.
func (c *conn) close() {
	c.flush(5 * time.Second)
	half, ok := c.socket.(interface{ CloseWrite() error })
	if ok && c.linger && c.sendErr == nil {
		if t, ok := c.link.(*tls.Conn); ok {
			t.CloseWrite()
		}
		half.CloseWrite()
		c.socket.SetReadDeadline(time.Now().Add(time.Second))
		io.Copy(io.Discard, io.LimitReader(c.socket, 1<<20))
	}
	c.link.Close()
}
