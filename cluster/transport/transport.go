package transport

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"rookery"
)

// ErrClosed is in the chain when this node's transport is closed.
var ErrClosed = errors.New("the transport of this node is closed")

// Transport is a node's side of all connections between nodes.
type Transport struct {
	opts    Options
	ctx     context.Context // ends with Close
	cancel  context.CancelCauseFunc
	conns   connections
	doors   doors
	guests  guests
	refused sparse
	calls   handlers[handler]
	streams handlers[StreamHandler]
	tunnels handlers[ConnHandler]
	work    sync.WaitGroup // every goroutine
	serving inFlight       // calls and streams being answered

	tunnelSlots, streamSlots *semaphore.Weighted

	mu       sync.Mutex
	closing  bool
	listener []net.Listener
	raft     map[rookery.GroupID]*queue
	gossip   *queue
	peers    map[rookery.NodeID]*peer
	servers  map[*callServer]struct{}
}

// New makes a transport that listens nowhere. It does no I/O; Close it.
func New(opts Options) (*Transport, error) {
	if err := opts.complete(); err != nil {
		return nil, rookery.E("make transport", rookery.KindInvalid, err)
	}
	t := &Transport{
		opts: opts, raft: map[rookery.GroupID]*queue{}, peers: map[rookery.NodeID]*peer{},
		tunnelSlots: semaphore.NewWeighted(int64(opts.MaxTunnels)), streamSlots: semaphore.NewWeighted(int64(opts.MaxStreams)),
	}
	t.ctx, t.cancel = context.WithCancelCause(context.Background())
	return t, nil
}

// Node is this node.
func (t *Transport) Node() rookery.NodeID { return t.opts.Credentials.Current().Node }

// Start accepts connections from l, which it closes with Close. Handlers
// should be set before: who calls earlier is refused.
func (t *Transport) Start(l net.Listener) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing {
		return rookery.E("start transport", rookery.KindUnavailable, ErrClosed)
	}
	t.listener = append(t.listener, l)
	t.work.Go(func() { t.accept(l) })
	return nil
}

// CutOff closes every connection with a node at once, in both directions.
// Take it off the members first: it may dial again.
func (t *Transport) CutOff(node rookery.NodeID) {
	t.conns.cut(func(c *conn) bool { return c.peer == node })
}

// Recheck closes connections that could not be opened now: their node is no
// member any more or has another key, its certificate has ended or its authority is not trusted
// any more. To be called when members or authorities changed, and now and
// then.
func (t *Transport) Recheck() {
	id, now := t.opts.Credentials.Current(), t.opts.Clock()
	t.conns.cut(func(c *conn) bool {
		if c.peer == "" {
			return false // on its way in: the handshake decides
		}
		_, _, err := id.Verify(c.certs, now, c.usage)
		return err != nil || t.pinned(c.peer, c.certs[0]) != nil
	})
}

// Close stops in order: no new connections and no new calls from others;
// calls and streams being answered get until ctx ends; then everything is
// closed, and Close returns when every goroutine has ended. Handlers can
// still call other nodes while they finish.
func (t *Transport) Close(ctx context.Context) error {
	t.mu.Lock()
	again := t.closing
	t.closing = true
	listeners := t.listener
	t.mu.Unlock()
	if again {
		t.work.Wait()
		return nil
	}
	var errs []error
	for _, l := range listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	t.goAway()
	err := t.serving.drain(ctx)
	t.cancel(ErrClosed)
	t.closeQueues() // after the lock taken there nothing is spawned any more
	t.conns.close()
	t.work.Wait()
	return errors.Join(append(errs, err)...)
}

func (t *Transport) isClosing() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closing
}

// spawn runs f unless the transport is closed.
func (t *Transport) spawn(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx.Err() != nil {
		return false
	}
	t.work.Go(f)
	return true
}

// within bounds ctx by a time and the transport's life.
func (t *Transport) within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, d)
	stop := context.AfterFunc(t.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// inFlight counts what must finish before a close.
type inFlight struct {
	mu    sync.Mutex
	n     int
	ended bool
	idle  chan struct{}
}

// begin is false after drain began: nothing new is taken.
func (f *inFlight) begin() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return false
	}
	f.n++
	return true
}

func (f *inFlight) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n--; f.n == 0 && f.idle != nil {
		close(f.idle)
	}
}

func (f *inFlight) drain(ctx context.Context) error {
	f.mu.Lock()
	f.ended = true
	if f.n == 0 {
		f.mu.Unlock()
		return nil
	}
	f.idle = make(chan struct{})
	f.mu.Unlock()
	select {
	case <-f.idle:
		return nil
	case <-ctx.Done():
		return rookery.E("close transport", rookery.KindUnavailable, errors.New("some calls had to be cut off"))
	}
}
