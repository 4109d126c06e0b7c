package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"rookery"
)

// callServer answers the calls of one connection.
type callServer struct {
	t      *Transport
	from   rookery.NodeID
	w      *frameWriter
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc

	// Only the reading goroutine uses these.
	partial map[uint32]*request

	mu      sync.Mutex
	running map[uint32]context.CancelFunc
	bytes   int // of requests, partial and running
}

type request struct {
	message
	head requestHead
	h    handler
}

func (t *Transport) serveCalls(c *conn) {
	if err := t.welcome(c); err != nil {
		c.cut()
		return
	}
	s := t.newCallServer(c.peer, c, c.cut)
	stop := t.onGoAway(c, s)
	defer stop()
	err := s.read(c)
	s.cancel()
	c.cut()
	if errors.Is(err, errFrame) {
		t.opts.Logger.Warn("a node's calls were cut off", "node", c.peer, "error", err)
	}
}

func (t *Transport) newCallServer(from rookery.NodeID, c net.Conn, cut func()) *callServer {
	s := &callServer{t: t, from: from, w: newFrameWriter(c, cut), partial: map[uint32]*request{}, running: map[uint32]context.CancelFunc{}}
	s.ctx, s.cancel = context.WithCancel(t.ctx)
	return s
}

func (s *callServer) read(c net.Conn) error {
	r := newFrameReader(c)
	for {
		c.SetReadDeadline(time.Now().Add(deadAfter))
		f, err := r.next()
		if err != nil {
			return err
		}
		if err := s.handle(f); err != nil {
			return err
		}
	}
}

func (s *callServer) handle(f frame) error {
	switch f.kind {
	case frameRequest:
		return s.begin(f)
	case frameMore:
		q := s.partial[f.call]
		if q == nil {
			return nil // refused or given up
		}
		complete, err := q.add(f.payload)
		if err == nil && complete {
			delete(s.partial, f.call)
			s.run(f.call, q)
		}
		return err
	case frameCancel:
		s.giveUp(f.call)
		return nil
	case framePing:
		_, err := s.w.write(s.ctx, framePong, f.call, nil, nil)
		return err
	}
	return fmt.Errorf("%w: a caller sends a frame of type %d", errFrame, f.kind)
}

// begin takes a request or refuses it.
func (s *callServer) begin(f frame) error {
	head, body, err := parseRequestHead(f.payload)
	if err != nil {
		return err
	}
	if s.known(f.call) {
		return fmt.Errorf("%w: call %d exists", errFrame, f.call)
	}
	h, ok := s.t.calls.get(head.name)
	switch {
	case !ok:
		return s.refuse(f.call, rookery.KindNotFound, ErrNoHandler)
	case head.total > h.limit:
		return s.refuse(f.call, rookery.KindTooLarge, fmt.Errorf("%d bytes are more than the %d it takes", head.total, h.limit))
	case !s.take(f.call, head.total):
		return s.refuse(f.call, rookery.KindLimit, errors.New("too many calls are under way from this node"))
	}
	q := &request{message{make([]byte, 0, head.total), head.total}, head, h}
	complete, err := q.add(body)
	if err != nil {
		s.giveBack(f.call, q.want)
		return err
	}
	if complete {
		s.run(f.call, q)
	} else {
		s.partial[f.call] = q
	}
	return nil
}

func (s *callServer) known(call uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.running[call]
	return ok
}

// take reserves room for a call.
func (s *callServer) take(call uint32, bytes int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.running) >= maxCalls || s.bytes+bytes > maxCallBytes {
		return false
	}
	s.running[call] = nil
	s.bytes += bytes
	return true
}

func (s *callServer) giveBack(call uint32, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, call)
	s.bytes -= bytes
}

func (s *callServer) giveUp(call uint32) {
	if q := s.partial[call]; q != nil {
		delete(s.partial, call)
		s.giveBack(call, q.want)
		return
	}
	s.mu.Lock()
	cancel := s.running[call]
	s.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

func (s *callServer) refuse(call uint32, kind rookery.Kind, why error) error {
	return s.answer(call, statusRefused, appendFailure(nil, kind, why))
}

func (s *callServer) answer(call uint32, status byte, body []byte) error {
	var head [16]byte
	_, _, err := s.w.send(s.ctx, frameResponse, call, appendResponseHead(head[:0], status, len(body)), body)
	return err
}

// run starts the handler of a complete request.
func (s *callServer) run(call uint32, q *request) {
	if !s.t.serving.begin() {
		s.giveBack(call, q.want)
		s.refuse(call, rookery.KindUnavailable, errors.New("the node is stopping"))
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	if q.head.timeout > 0 {
		cancel()
		ctx, cancel = context.WithTimeout(s.ctx, q.head.timeout)
	}
	s.mu.Lock()
	s.running[call] = cancel
	s.mu.Unlock()
	started := s.t.spawn(func() {
		defer s.t.serving.end()
		defer cancel()
		s.finish(ctx, call, q)
	})
	if !started {
		cancel()
		s.giveBack(call, q.want)
		s.t.serving.end()
	}
}

func (s *callServer) finish(ctx context.Context, call uint32, q *request) {
	defer s.giveBack(call, q.want)
	body, err := q.h.do(ctx, s.from, q.data)
	status := statusOK
	if err == nil && len(body) > q.h.limit {
		err = rookery.E("answer", rookery.KindTooLarge, fmt.Errorf("the answer has %d bytes, more than %d", len(body), q.h.limit))
	}
	if err != nil {
		status, body = statusError, appendFailure(nil, rookery.KindOf(err), err)
	}
	s.answer(call, status, body) // a lost connection is the caller's doubt
}
