package transport

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"

	"rookery"
)

// Handler answers a call. The body is the handler's to keep. ctx ends with
// the caller's deadline, when the caller gives up or its connection is lost,
// and when this node's transport closes. An error travels with its kind.
type Handler func(ctx context.Context, from rookery.NodeID, body []byte) ([]byte, error)

// StreamHandler writes a bulk stream. Nothing but its return ends the
// stream; the reader is told of an error, with its kind.
type StreamHandler func(ctx context.Context, from rookery.NodeID, header []byte, w io.Writer) error

// ConnHandler has a tunnel until it returns; the tunnel is then closed. ctx
// ends when this node's transport closes, and with it the tunnel.
type ConnHandler func(ctx context.Context, from rookery.NodeID, header []byte, conn net.Conn)

type handler struct {
	do    Handler
	limit int
}

// handlers are those of one sort, by name.
type handlers[H any] struct {
	mu     sync.RWMutex
	byName map[string]H
}

func (s *handlers[H]) set(name string, h H) {
	if name == "" || len(name) > maxName {
		panic(fmt.Sprintf("transport: %q is no name for a handler", name))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byName == nil {
		s.byName = map[string]H{}
	}
	s.byName[name] = h
}

func (s *handlers[H]) get(name string) (H, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	h, ok := s.byName[name]
	return h, ok
}

// Handle answers calls of that name, in place of an earlier handler. Bodies
// are at most DefaultBody bytes.
func (t *Transport) Handle(name string, h Handler) { t.HandleLimit(name, DefaultBody, h) }

// HandleLimit is Handle with another limit on bodies, at most MaxBody.
func (t *Transport) HandleLimit(name string, limit int, h Handler) {
	t.calls.set(name, handler{h, min(limit, MaxBody)})
}

// HandleStream serves OpenStream of that name.
func (t *Transport) HandleStream(name string, h StreamHandler) { t.streams.set(name, h) }

// HandleConn serves DialConn of that name.
func (t *Transport) HandleConn(name string, h ConnHandler) { t.tunnels.set(name, h) }
