package pop3

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"rookery/protocols/listen"
)

// The buffers of a connection, and the longest line taken. RFC 2449 4 allows
// 255 bytes; AUTH needs more (RFC 5034).
const (
	inBuffer  = 4 << 10
	outBuffer = 32 << 10
	maxLine   = 2048
)

// conn is one client.
type conn struct {
	server   *Server
	listener *listener
	socket   net.Conn // as accepted
	net      net.Conn // socket, or TLS over it
	ip       string
	id       string
	secure   bool
	r        *bufio.Reader
	w        *bufio.Writer
	logger   *slog.Logger
	session  session

	mu       sync.Mutex
	who      listen.Session // signed in and served here
	ended    string         // why an operator or the directory ends the session
	idle     bool
	draining bool
}

func newConn(s *Server, nc net.Conn, l *listener) *conn {
	return &conn{server: s, listener: l, socket: nc, ip: listen.Host(nc.RemoteAddr())}
}

// Listener implements listen.Conn.
func (c *conn) Listener() net.Listener { return c.listener.Listener }

// Cut implements listen.Conn.
func (c *conn) Cut() { c.socket.Close() }

// serve runs the connection from greeting to end.
func (c *conn) serve(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.begin()
	defer c.session.end()
	c.use(c.socket)
	if c.listener.mode == TLS && !c.handshake(ctx) {
		return
	}
	c.ok("%s POP3 ready", c.server.o.Hostname)
	c.commands(ctx)
}

// begin names the session.
func (c *conn) begin() {
	var b [8]byte
	rand.Read(b[:])
	c.id = strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
	c.logger = c.server.o.Logger.With("session", c.id)
	c.session = session{c: c, signInBy: time.Now().Add(c.server.o.Limits.SignIn)}
}

// commands serves commands until the connection ends.
func (c *conn) commands(ctx context.Context) {
	for {
		line, err := c.readLine()
		if err != nil {
			c.farewell(err)
			break
		}
		if !c.command(ctx, line) {
			break
		}
		if c.session.onward != nil {
			c.carry()
			return
		}
	}
	c.w.Flush()
}

// command runs one line; false ends the connection. A panic ends this
// connection and no other.
func (c *conn) command(ctx context.Context, line []byte) (more bool) {
	defer func() {
		if p := recover(); p != nil {
			c.logger.Error("pop3: a command panicked", "panic", fmt.Sprint(p), "client", c.ip)
			c.err("[SYS/TEMP] Internal error")
			more = false
		}
	}()
	s := &c.session
	s.name, s.refused = "unknown", false
	began := time.Now()
	more = s.do(ctx, line)
	if c.server.o.Observe != nil {
		c.server.o.Observe(s.name, !s.refused, time.Since(began))
	}
	return more
}

// use makes nc the connection's stream. What was buffered in clear is dropped.
func (c *conn) use(nc net.Conn) {
	c.net = nc
	c.r = bufio.NewReaderSize(nc, inBuffer)
	c.w = bufio.NewWriterSize(stallWriter{nc, c.server.o.Limits.Stall}, outBuffer)
}

// handshake changes to TLS, within the time to sign in.
func (c *conn) handshake(ctx context.Context) bool {
	tc := tls.Server(c.socket, c.server.o.TLS)
	ctx, cancel := context.WithDeadline(ctx, c.session.signInBy)
	defer cancel()
	if err := tc.HandshakeContext(ctx); err != nil {
		c.logger.Debug("pop3: TLS failed", "client", c.ip, "error", err)
		return false
	}
	c.secure = true
	c.use(tc)
	return true
}

// stallWriter gives every write its own time.
type stallWriter struct {
	net.Conn
	stall time.Duration
}

func (w stallWriter) Write(p []byte) (int, error) {
	w.Conn.SetWriteDeadline(time.Now().Add(w.stall))
	return w.Conn.Write(p)
}

var (
	errLong     = errors.New("pop3: line too long")
	errDraining = errors.New("pop3: draining")
)

// readLine reads one line without its end. Before it waits for the network it
// sends what was written and lets the maildrop go.
func (c *conn) readLine() ([]byte, error) {
	if n := c.r.Buffered(); n > 0 {
		if b, _ := c.r.Peek(n); bytes.IndexByte(b, '\n') >= 0 {
			return trim(c.r.ReadSlice('\n'))
		}
	}
	if err := c.w.Flush(); err != nil {
		return nil, err
	}
	c.session.rest()
	if err := c.wait(); err != nil {
		return nil, err
	}
	line, err := c.r.ReadSlice('\n')
	c.mu.Lock()
	c.idle = false
	draining := c.draining
	c.mu.Unlock()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && draining:
		return nil, errDraining
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, errLong
	}
	return trim(line, err)
}

// wait sets the deadline of the next command.
func (c *conn) wait() error {
	deadline := time.Now().Add(c.server.o.Limits.Idle)
	if by := c.session.signInBy; !by.IsZero() && by.Before(deadline) {
		deadline = by
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining {
		return errDraining
	}
	c.idle = true
	return c.net.SetReadDeadline(deadline)
}

func trim(line []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	line = bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))
	if len(line) > maxLine {
		return nil, errLong
	}
	return line, nil
}

// farewell tells the client why the connection ends, where it still listens.
func (c *conn) farewell(err error) {
	switch {
	case errors.Is(err, errDraining) && c.why() != "":
		c.err("%s", c.why())
	case errors.Is(err, errDraining):
		c.err("[SYS/TEMP] Shutting down, try again later")
	case errors.Is(err, errLong):
		c.err("Line too long")
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.err("[SYS/TEMP] Idle for too long")
	}
}

// Drain ends the connection when it is idle, else after the running command.
func (c *conn) Drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	if c.idle {
		c.socket.SetReadDeadline(time.Unix(1, 0))
	}
}

func (c *conn) ok(format string, a ...any) { c.line("+OK "+format, a...) }
func (c *conn) err(format string, a ...any) {
	c.session.refused = true
	c.line("-ERR "+format, a...)
}

func (c *conn) line(format string, a ...any) {
	fmt.Fprintf(c.w, format, a...)
	c.w.WriteString("\r\n")
}
