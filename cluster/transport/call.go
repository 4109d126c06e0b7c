package transport

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"rookery"
)

// Call asks a node and waits for the answer. Calls share one kept
// connection and do not wait for each other.
//
// A handler's error comes back with its kind. Otherwise KindUnavailable
// means that the handler certainly did not run and does not, KindUnknown
// that it may have or may yet, and KindTooLarge that the body is over the
// handler's limit. Call never asks twice.
func (t *Transport) Call(ctx context.Context, to rookery.NodeID, name string, body []byte) ([]byte, error) {
	if name == "" || len(name) > maxName || len(body) > MaxBody {
		return nil, failure(to, name, rookery.KindTooLarge, fmt.Errorf("a call of %d bytes, at most %d can be sent", len(body), MaxBody))
	}
	if err := ctx.Err(); err != nil {
		return nil, failure(to, name, rookery.KindUnavailable, err)
	}
	if to == t.Node() {
		return t.callSelf(ctx, name, body)
	}
	p := t.peer(to)
	for {
		c, err := p.connected(ctx, t)
		if err != nil {
			return nil, failure(to, name, rookery.KindUnavailable, err)
		}
		if answer, err := c.call(ctx, to, name, body); !errors.Is(err, errNotTaken) {
			return answer, err
		}
		// The kept connection ended before anything was sent on it.
	}
}

// callSelf runs the handler here, under the same rules.
func (t *Transport) callSelf(ctx context.Context, name string, body []byte) ([]byte, error) {
	h, ok := t.calls.get(name)
	switch {
	case !ok:
		return nil, failure(t.Node(), name, rookery.KindUnavailable, ErrNoHandler)
	case len(body) > h.limit:
		return nil, failure(t.Node(), name, rookery.KindTooLarge, fmt.Errorf("%d bytes are more than the %d it takes", len(body), h.limit))
	case !t.serving.begin():
		return nil, failure(t.Node(), name, rookery.KindUnavailable, ErrClosed)
	}
	defer t.serving.end()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	answer, err := h.do(ctx, t.Node(), append([]byte(nil), body...))
	if err != nil {
		return nil, failure(t.Node(), name, rookery.KindOf(err), err)
	}
	return answer, nil
}

// errNotTaken says that another connection should be tried.
var errNotTaken = errors.New("the connection takes no more calls")

// caller is the calling end of a connection.
type caller struct {
	conn *conn
	w    *frameWriter

	mu    sync.Mutex
	last  uint32
	calls map[uint32]*call
	away  bool // no new calls
}

// call is one under way. Its answer arrives once.
type call struct {
	message
	status  byte
	started bool
	answer  chan error
}

func newCaller(c *conn) *caller {
	return &caller{conn: c, w: newFrameWriter(c, c.cut), calls: map[uint32]*call{}}
}

func (c *caller) usable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.away
}

// leave takes no more calls.
func (c *caller) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = true
}

func (c *caller) register() (uint32, *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away {
		return 0, nil
	}
	for {
		c.last++
		if _, busy := c.calls[c.last]; !busy {
			break
		}
	}
	k := &call{answer: make(chan error, 1)}
	c.calls[c.last] = k
	return c.last, k
}

func (c *caller) forget(id uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, id)
}

func (c *caller) call(ctx context.Context, to rookery.NodeID, name string, body []byte) ([]byte, error) {
	id, k := c.register()
	if k == nil {
		return nil, errNotTaken
	}
	defer c.forget(id)
	head := requestHead{total: len(body), name: name}
	if deadline, ok := ctx.Deadline(); ok {
		head.timeout = max(time.Until(deadline), time.Millisecond)
	}
	var room [maxName + 24]byte
	begun, complete, err := c.w.send(ctx, frameRequest, id, head.appendTo(room[:0]), body)
	switch {
	case errors.Is(err, errBroken) && !begun:
		c.leave()
		return nil, errNotTaken
	case err != nil && !complete:
		c.cancel(begun, id)
		return nil, failure(to, name, rookery.KindUnavailable, err)
	case err != nil:
		return nil, failure(to, name, rookery.KindUnknown, err)
	}
	select {
	case err := <-k.answer:
		return k.result(to, name, err)
	case <-ctx.Done():
		c.cancel(true, id)
		return nil, failure(to, name, rookery.KindUnknown, context.Cause(ctx))
	}
}

func (k *call) result(to rookery.NodeID, name string, err error) ([]byte, error) {
	if err != nil {
		return nil, failure(to, name, rookery.KindUnknown, err)
	}
	switch k.status {
	case statusOK:
		return k.data, nil
	case statusRefused:
		return nil, refusal(to, name, k.data)
	default:
		kind, text := parseFailure(k.data)
		return nil, failure(to, name, kind, errors.New(text))
	}
}

// cancel tells the other side that nobody waits. It does not wait itself.
func (c *caller) cancel(begun bool, id uint32) {
	if !begun {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	c.w.write(ctx, frameCancel, id, nil, nil)
}

// read reads answers until the connection ends, and keeps it alive.
func (c *caller) read(t *Transport) {
	done := make(chan struct{})
	t.spawn(func() { c.ping(t, done) })
	err := c.readFrames()
	close(done)
	c.conn.cut()
	if t.ctx.Err() != nil {
		err = ErrClosed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = true
	for id, k := range c.calls {
		delete(c.calls, id)
		k.answer <- fmt.Errorf("%w: %w", errLost, err) // at most one answer a call: it was still here
	}
}

func (c *caller) readFrames() error {
	r := newFrameReader(c.conn)
	for {
		c.conn.SetReadDeadline(time.Now().Add(deadAfter))
		f, err := r.next()
		if err != nil {
			return err
		}
		switch f.kind {
		case frameResponse, frameMore:
			err = c.answered(f)
		case frameGoAway:
			c.leave()
		case framePong:
		default:
			err = fmt.Errorf("%w: it sends a frame of type %d", errFrame, f.kind)
		}
		if err != nil {
			return err
		}
	}
}

// answered takes a part of an answer. Answers to calls given up are skipped.
func (c *caller) answered(f frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.calls[f.call]
	if k == nil {
		return nil
	}
	part := f.payload
	if f.kind == frameResponse {
		status, total, body, err := parseResponseHead(part)
		if err != nil || k.started {
			return errFrame
		}
		k.started, k.status, part = true, status, body
		k.message = message{make([]byte, 0, total), total}
	}
	complete, err := k.add(part)
	if err == nil && complete {
		delete(c.calls, f.call)
		k.answer <- nil
	}
	return err
}

// ping keeps the connection alive, and lets a dead one be noticed.
func (c *caller) ping(t *Transport, done <-chan struct{}) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			ctx, cancel := context.WithTimeout(t.ctx, pingEvery)
			c.w.write(ctx, framePing, 0, nil, nil)
			cancel()
		case <-done:
			return
		}
	}
}
