package transport

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"rookery"
)

// A bulk stream is chunks, length(4 BE) | bytes. Length 0 is a sign of life,
// endMark the end, failMark | length(4 BE) | failure an end with an error.
const (
	maxChunk = 64 << 10
	endMark  = 0xffffffff
	failMark = 0xfffffffe
)

// OpenStream begins a bulk stream from a node. Read gives the handler's
// error, with its kind, where the stream ends by one; a stream cut off is
// KindUnavailable, and io.EOF is only ever the true end. The stream ends with
// ctx; Close ends it early.
func (t *Transport) OpenStream(ctx context.Context, to rookery.NodeID, name string, header []byte) (io.ReadCloser, error) {
	c, err := t.open(ctx, sortStream, to, name, header)
	if err != nil {
		return nil, err
	}
	s := &bulkReader{ctx: ctx, conn: c, r: bufio.NewReaderSize(c, maxChunk), to: to, name: name}
	s.stop = context.AfterFunc(ctx, c.cut)
	return s, nil
}

// bulkReader is the reading end. It is not for concurrent use, but for Close.
type bulkReader struct {
	ctx  context.Context
	conn *conn
	r    *bufio.Reader
	to   rookery.NodeID
	name string
	stop func() bool

	left int // of the chunk
	err  error
}

func (s *bulkReader) Read(p []byte) (int, error) {
	for s.err == nil && s.left == 0 && len(p) > 0 {
		s.err = s.chunk()
	}
	if s.err != nil || len(p) == 0 {
		return 0, s.err
	}
	s.conn.SetReadDeadline(time.Now().Add(3 * idleChunk))
	n, err := s.r.Read(p[:min(len(p), s.left)])
	s.left -= n
	if err != nil {
		s.err = s.lost(err)
	}
	if n > 0 {
		return n, nil
	}
	return 0, s.err
}

func (s *bulkReader) chunk() error {
	s.conn.SetReadDeadline(time.Now().Add(3 * idleChunk))
	n, err := s.number()
	switch {
	case err != nil:
		return s.lost(err)
	case n == endMark:
		return io.EOF
	case n == failMark:
		return s.failed()
	case n > maxChunk:
		return s.lost(errFrame)
	}
	s.left = int(n)
	return nil
}

func (s *bulkReader) number() (uint32, error) {
	var b [4]byte
	_, err := io.ReadFull(s.r, b[:])
	return binary.BigEndian.Uint32(b[:]), err
}

func (s *bulkReader) failed() error {
	n, err := s.number()
	if err != nil || n > maxText+1 {
		return s.lost(errors.Join(err, errFrame))
	}
	p := make([]byte, n)
	if _, err := io.ReadFull(s.r, p); err != nil {
		return s.lost(err)
	}
	kind, text := parseFailure(p)
	return failure(s.to, s.name, kind, errors.New(text))
}

func (s *bulkReader) lost(err error) error {
	if s.ctx.Err() != nil {
		err = context.Cause(s.ctx)
	}
	return failure(s.to, s.name, rookery.KindUnavailable, fmt.Errorf("the stream was cut off: %w", err))
}

func (s *bulkReader) Close() error {
	s.stop()
	s.conn.cut()
	return nil
}

func (t *Transport) serveBulk(c *conn, name string, header []byte) {
	h, ok := t.streams.get(name)
	switch {
	case !ok:
		answerOpening(c, statusRefused, rookery.KindNotFound, ErrNoHandler)
		return
	case !t.streamSlots.TryAcquire(1):
		answerOpening(c, statusRefused, rookery.KindLimit, errors.New("too many streams are open"))
		return
	}
	defer t.streamSlots.Release(1)
	if !t.serving.begin() {
		answerOpening(c, statusRefused, rookery.KindUnavailable, errors.New("the node is stopping"))
		return
	}
	defer t.serving.end()
	if answerOpening(c, statusOK, 0, nil) != nil {
		return
	}
	c.SetReadDeadline(time.Time{})
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	// Nothing more is sent by the reader: whatever is read is its end.
	t.spawn(func() { c.Read(make([]byte, 1)); cancel() })
	w := &bulkWriter{conn: c, w: bufio.NewWriterSize(c, maxChunk+4), done: make(chan struct{})}
	t.spawn(w.live)
	w.end(h(ctx, c.peer, header, w))
	c.Close() // ends the reading goroutine
}

// bulkWriter is the writing end.
type bulkWriter struct {
	conn net.Conn
	done chan struct{}

	mu    sync.Mutex // over writes: a sign of life must not fall into a chunk
	w     *bufio.Writer
	quiet bool
}

func (s *bulkWriter) Write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quiet = false
	for len(p) > 0 && err == nil {
		part := p[:min(len(p), maxChunk)]
		s.conn.SetWriteDeadline(time.Now().Add(3 * idleChunk))
		s.number(uint32(len(part)))
		_, err = s.w.Write(part)
		n, p = n+len(part), p[len(part):]
	}
	return n, err
}

func (s *bulkWriter) number(n uint32) {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	s.w.Write(b[:]) // bufio keeps its first error
}

func (s *bulkWriter) end(err error) {
	close(s.done)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn.SetWriteDeadline(time.Now().Add(3 * idleChunk))
	if err == nil {
		s.number(endMark)
	} else {
		f := appendFailure(nil, rookery.KindOf(err), err)
		s.number(failMark)
		s.number(uint32(len(f)))
		s.w.Write(f)
	}
	s.w.Flush()
}

// live flushes what lies about and gives signs of life while the handler
// writes nothing.
func (s *bulkWriter) live() {
	tick := time.NewTicker(idleChunk)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.mu.Lock()
			if s.quiet {
				s.conn.SetWriteDeadline(time.Now().Add(3 * idleChunk))
				s.number(0)
				s.w.Flush()
			}
			s.quiet = true
			s.mu.Unlock()
		case <-s.done:
			return
		}
	}
}
