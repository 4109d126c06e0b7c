package transport

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// A frame on a connection for calls is
//
//	type(1) | call(4 BE) | length(4 BE) | payload
//
// with a payload of at most maxPayload bytes. A message longer than that
// goes on in frameMore frames of the same call, between which those of other
// calls can pass.
const (
	frameRequest  byte = iota + 1 // head | body: see requestHead
	frameResponse                 // status(1) | total uvarint | body
	frameMore                     // the next part of a body
	frameCancel                   // the caller does not wait any more
	framePing                     // answered by a pong
	framePong
	frameGoAway // no new calls on this connection, please
	frameEnd
)

const (
	frameHeader = 9
	maxPayload  = 64 << 10
)

// The status of a response.
const (
	statusOK      byte = iota
	statusError        // the handler's: kind(1) | text
	statusRefused      // the handler never ran: kind(1) | text
	statusEnd
)

// frame is one as it was read; payload lives until the next read.
type frame struct {
	kind    byte
	call    uint32
	payload []byte
}

var errFrame = errors.New("the other side breaks the protocol of calls")

// frameReader reads frames into one buffer.
type frameReader struct {
	r   *bufio.Reader
	buf []byte
}

func newFrameReader(r io.Reader) *frameReader {
	return &frameReader{r: bufio.NewReaderSize(r, 16<<10)}
}

func (f *frameReader) next() (frame, error) {
	head, err := f.r.Peek(frameHeader)
	if err != nil {
		return frame{}, err
	}
	fr := frame{kind: head[0], call: binary.BigEndian.Uint32(head[1:])}
	n := int(binary.BigEndian.Uint32(head[5:]))
	if fr.kind == 0 || fr.kind >= frameEnd || n > maxPayload {
		return frame{}, fmt.Errorf("%w: a frame of type %d and %d bytes", errFrame, fr.kind, n)
	}
	f.r.Discard(frameHeader)
	if n <= f.r.Size() { // in place
		fr.payload, err = f.r.Peek(n)
		f.r.Discard(len(fr.payload))
		return fr, err
	}
	if cap(f.buf) < n {
		f.buf = make([]byte, maxPayload)
	}
	fr.payload = f.buf[:n]
	_, err = io.ReadFull(f.r, fr.payload)
	return fr, err
}

// frameWriter lets many write frames to one connection, in turns, and
// flushes when nobody waits for a turn.
type frameWriter struct {
	conn    net.Conn
	broken  func() // called after a failed write: the connection is of no use
	turn    chan struct{}
	waiting atomic.Int32
	w       *bufio.Writer // who has the turn writes
	failed  bool          // likewise
}

var errBroken = errors.New("the connection is broken")

func newFrameWriter(c net.Conn, broken func()) *frameWriter {
	return &frameWriter{conn: c, broken: broken, turn: make(chan struct{}, 1), w: bufio.NewWriterSize(c, 16<<10)}
}

// write writes one frame of up to two parts. begun is whether any of it may
// have left.
func (f *frameWriter) write(ctx context.Context, kind byte, call uint32, head, body []byte) (begun bool, err error) {
	f.waiting.Add(1)
	select {
	case f.turn <- struct{}{}:
		f.waiting.Add(-1)
	case <-ctx.Done():
		if f.waiting.Add(-1) == 0 {
			f.flushLeft()
		}
		return false, ctx.Err()
	}
	if f.failed {
		<-f.turn
		return false, errBroken
	}
	f.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	var h [frameHeader]byte
	h[0] = kind
	binary.BigEndian.PutUint32(h[1:], call)
	binary.BigEndian.PutUint32(h[5:], uint32(len(head)+len(body)))
	f.w.Write(h[:]) // bufio keeps its first error
	f.w.Write(head)
	_, err = f.w.Write(body)
	left := f.waiting.Load() > 0
	if err == nil && !left {
		err = f.w.Flush()
	}
	f.failed = err != nil
	<-f.turn
	if err != nil {
		f.broken()
	} else if left && f.waiting.Load() == 0 {
		f.flushLeft() // who would have flushed may have given up
	}
	return true, err
}

// flushLeft flushes what was left to a writer that gave up. If somebody has
// the turn, it does the same afterwards.
func (f *frameWriter) flushLeft() {
	select {
	case f.turn <- struct{}{}:
		f.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		err := f.w.Flush()
		f.failed = f.failed || err != nil
		<-f.turn
		if err != nil {
			f.broken()
		}
	default:
	}
}

// send writes a message: head and as much of the body as fits, then the
// rest. begun is whether any of it may have left, complete whether all of it
// may have.
func (f *frameWriter) send(ctx context.Context, kind byte, call uint32, head, body []byte) (begun, complete bool, err error) {
	part := body[:min(len(body), maxPayload-len(head))]
	for {
		body = body[len(part):]
		wrote, err := f.write(ctx, kind, call, head, part)
		begun = begun || wrote
		if err != nil || len(body) == 0 {
			return begun, wrote && len(body) == 0, err
		}
		kind, head, part = frameMore, nil, body[:min(len(body), maxPayload)]
	}
}

// message is one being put together from frames.
type message struct {
	data []byte
	want int
}

func (m *message) add(part []byte) (complete bool, err error) {
	if len(m.data)+len(part) > m.want {
		return false, fmt.Errorf("%w: a message is longer than announced", errFrame)
	}
	m.data = append(m.data, part...)
	return len(m.data) == m.want, nil
}

// requestHead is what precedes a request's body.
type requestHead struct {
	timeout time.Duration // 0: none
	total   int           // of the body
	name    string
}

func (h requestHead) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64((h.timeout+time.Millisecond-1)/time.Millisecond))
	b = binary.AppendUvarint(b, uint64(h.total))
	b = append(b, byte(len(h.name)))
	return append(b, h.name...)
}

// maxTimeout is the longest that travels: longer is as good as none.
const maxTimeout = 24 * time.Hour

func parseRequestHead(p []byte) (h requestHead, body []byte, err error) {
	ms, n := binary.Uvarint(p)
	if n <= 0 {
		return h, nil, errFrame
	}
	p = p[n:]
	total, n := binary.Uvarint(p)
	if n <= 0 || total > MaxBody || len(p) < n+1 || len(p) < n+1+int(p[n]) || p[n] == 0 || p[n] > maxName {
		return h, nil, errFrame
	}
	h.timeout = time.Duration(min(ms, uint64(maxTimeout/time.Millisecond))) * time.Millisecond
	h.total = int(total)
	p = p[n:]
	h.name = string(p[1 : 1+p[0]])
	return h, p[1+p[0]:], nil
}

func appendResponseHead(b []byte, status byte, total int) []byte {
	return binary.AppendUvarint(append(b, status), uint64(total))
}

func parseResponseHead(p []byte) (status byte, total int, body []byte, err error) {
	if len(p) < 2 || p[0] >= statusEnd {
		return 0, 0, nil, errFrame
	}
	n64, n := binary.Uvarint(p[1:])
	if n <= 0 || n64 > MaxBody {
		return 0, 0, nil, errFrame
	}
	return p[0], int(n64), p[1+n:], nil
}
