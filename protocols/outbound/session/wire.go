package session

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// block is how much content is written at once, in octets.
const block = 32 << 10

// wire carries lines and replies. After its first failure it is dead, and so it
// stays.
type wire struct {
	raw  net.Conn // the socket
	conn net.Conn // what is spoken over: raw, or TLS above it
	in   *bufio.Reader
	out  *bufio.Writer
	// dead is the first failure; nil while the connection works.
	dead error
	ctx  context.Context // of the call under way
	// until bounds the steps that belong together, beside the time of each; zero
	// does not.
	until time.Time
	// goodbye is the 421 with which the peer closed; its Code is 0 where it has
	// not.
	goodbye Reply
}

func newWire(conn net.Conn) *wire {
	w := &wire{raw: conn}
	w.upgrade(conn)
	return w
}

// upgrade goes on over another connection, which is TLS above the socket. What
// was read ahead in clear is dropped: it may come from somebody else (RFC 3207
// 6).
func (w *wire) upgrade(conn net.Conn) {
	w.conn = conn
	w.in = bufio.NewReaderSize(conn, maxReplyLine)
	w.out = bufio.NewWriterSize(conn, block)
}

// bind has the context's end close the connection until unbind is called, which
// says whether that came first.
func (w *wire) bind(ctx context.Context) (unbind func() bool) {
	w.ctx = ctx
	stop := context.AfterFunc(ctx, func() { w.raw.Close() })
	return func() bool {
		if !stop() {
			w.close()
			return false
		}
		w.ctx = nil
		return true
	}
}

// within bounds all up to the next call of it.
func (w *wire) within(d time.Duration) {
	end := time.Now().Add(d)
	if !w.until.IsZero() && w.until.Before(end) {
		end = w.until
	}
	_ = w.fail(w.conn.SetDeadline(end))
}

// fail closes the wire where there is an error, and gives the first one.
func (w *wire) fail(err error) error {
	if err == nil {
		return nil
	}
	err = w.spoil(err)
	w.raw.Close()
	return err
}

func (w *wire) close() { _ = w.fail(errDead) }

// bye closes the wire with a word to TLS.
func (w *wire) bye() {
	_ = w.spoil(errDead)
	w.conn.Close()
}

var errDead = errors.New("the connection is closed")

// line writes one command into the buffer. A command never holds what would end
// its line.
func (w *wire) line(s string) error {
	if strings.ContainsAny(s, "\r\n\x00") {
		return w.fail(fmt.Errorf("the command %s has a line end in it", quoted(s)))
	}
	if w.dead != nil {
		return w.dead
	}
	_, err := w.out.WriteString(s + "\r\n")
	return w.spoil(err)
}

// spoil notes that nothing more can be written, and gives the first error, or
// the context's where that is the cause. What the peer said before may still be
// read, so the socket stays open for farewell.
func (w *wire) spoil(err error) error {
	if err == nil || w.dead != nil {
		return w.dead
	}
	if w.dead = err; w.ctx != nil && w.ctx.Err() != nil {
		w.dead = context.Cause(w.ctx)
	}
	return w.dead
}

func (w *wire) write(p []byte) error {
	if w.dead != nil {
		return w.dead
	}
	_, err := w.out.Write(p)
	return w.spoil(err)
}

func (w *wire) flush() error {
	if w.dead != nil {
		return w.dead
	}
	return w.spoil(w.out.Flush())
}

// reply reads one reply. 421 says that the peer closes (RFC 5321 3.8), so nothing
// more is sent.
func (w *wire) reply() (Reply, error) {
	if w.dead != nil {
		return Reply{}, w.dead
	}
	r, err := readReply(w.in)
	if err != nil {
		return Reply{}, w.fail(err)
	}
	if r.Code == 421 {
		w.goodbye = r
		w.close()
	}
	return r, nil
}

// farewell reads what a peer said before it stopped taking what is written: a
// refusal, or nothing that counts. The wire is closed after it.
func (w *wire) farewell() (Reply, bool) {
	defer w.close()
	if err := w.conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return Reply{}, false
	}
	r, err := readReply(w.in)
	return r, err == nil && r.Code >= 400
}
