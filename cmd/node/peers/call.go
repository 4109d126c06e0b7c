package peers

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"

	"github.com/fxamacker/cbor/v2"

	"rookery"
)

// Call is a question that one node asks another, and its answer. Its name and
// what travels under it stay for ever: during an upgrade nodes of two versions
// call each other.
type Call[Q, A any] struct{ name string }

// Name is the call's on the wire.
func (c Call[Q, A]) Name() string { return c.name }

// Ask asks a node, this one included. KindUnavailable: it was certainly not
// answered; KindUnknown: it may have been.
func (c Call[Q, A]) Ask(ctx context.Context, p *Peers, to rookery.NodeID, q Q) (a A, err error) {
	sent, err := encode(q)
	if err != nil {
		return a, rookery.E("call "+c.name, rookery.KindInvalid, err)
	}
	got, err := p.transport.Call(ctx, to, c.name, sent)
	forget(q, sent)
	if err != nil {
		return a, err
	}
	defer forget(a, got)
	if err := decode(got, &a); err != nil {
		return a, rookery.E("call "+c.name, rookery.KindUnknown, errors.New("malformed answer")) // the cause may quote a key
	}
	return a, nil
}

// Serve answers the call from now on.
func (c Call[Q, A]) Serve(p *Peers, answer func(ctx context.Context, from rookery.NodeID, q Q) (A, error)) {
	p.transport.Handle(c.name, func(ctx context.Context, from rookery.NodeID, got []byte) ([]byte, error) {
		var q Q
		err := decode(got, &q)
		forget(q, got)
		if err != nil {
			return nil, rookery.E(c.name, rookery.KindInvalid, errors.New("malformed question"))
		}
		a, err := answer(ctx, from, q)
		if err != nil {
			return nil, err
		}
		sent, err := encode(a)
		if k, secret := any(a).(Key); secret {
			clear(k.Secret)
		}
		return sent, err
	})
}

// GroupCall is a question about a group, to a node that has a replica of it.
type GroupCall[Q, A any] struct{ name string }

// Name is the call's on the wire.
func (c GroupCall[Q, A]) Name() string { return c.name }

// Ask asks a node about a group.
func (c GroupCall[Q, A]) Ask(ctx context.Context, p *Peers, to rookery.NodeID, group rookery.GroupID, q Q) (a A, err error) {
	data, err := encode(q)
	if err != nil {
		return a, rookery.E("call "+c.name, rookery.KindInvalid, err)
	}
	r, err := Call[Entry, Result](c).Ask(ctx, p, to, Entry{group, data})
	if err != nil {
		return a, err
	}
	if err := decode(r.Data, &a); err != nil {
		return a, rookery.E("call "+c.name, rookery.KindUnknown, errors.New("malformed answer"))
	}
	return a, nil
}

// Serve answers the call from now on.
func (c GroupCall[Q, A]) Serve(p *Peers, answer func(ctx context.Context, group rookery.GroupID, q Q) (A, error)) {
	Call[Entry, Result](c).Serve(p, func(ctx context.Context, _ rookery.NodeID, e Entry) (r Result, err error) {
		var q Q
		if err := decode(e.Data, &q); err != nil {
			return r, rookery.E(c.name, rookery.KindInvalid, errors.New("malformed question"))
		}
		a, err := answer(ctx, e.Group, q)
		if err == nil {
			r.Data, err = encode(a)
		}
		return r, err
	})
}

// Stream is a question whose answer is a stream of bytes.
type Stream[H any] struct{ name string }

// Open asks a node. The caller closes the stream.
func (s Stream[H]) Open(ctx context.Context, p *Peers, to rookery.NodeID, h H) (io.ReadCloser, error) {
	header, err := encode(h)
	if err != nil {
		return nil, rookery.E("call "+s.name, rookery.KindInvalid, err)
	}
	return p.transport.OpenStream(ctx, to, s.name, header)
}

// Serve answers from now on.
func (s Stream[H]) Serve(p *Peers, answer func(ctx context.Context, h H, w io.Writer) error) {
	p.transport.HandleStream(s.name, func(ctx context.Context, _ rookery.NodeID, header []byte, w io.Writer) error {
		var h H
		if err := decode(header, &h); err != nil {
			return rookery.E(s.name, rookery.KindInvalid, err)
		}
		return answer(ctx, h, w)
	})
}

// Tunnel is a connection to another node that begins with a header.
type Tunnel[H any] struct{ name string }

// Dial connects to a node.
func (t Tunnel[H]) Dial(ctx context.Context, p *Peers, to rookery.NodeID, h H) (net.Conn, error) {
	header, err := encode(h)
	if err != nil {
		return nil, rookery.E("call "+t.name, rookery.KindInvalid, err)
	}
	return p.transport.DialConn(ctx, to, t.name, header)
}

// Serve takes connections from now on. A header that cannot be read is an
// error, which the other side should be told.
func (t Tunnel[H]) Serve(p *Peers, serve func(ctx context.Context, h H, err error, conn net.Conn)) {
	p.transport.HandleConn(t.name, func(ctx context.Context, _ rookery.NodeID, header []byte, conn net.Conn) {
		var h H
		err := decode(header, &h)
		serve(ctx, h, err, conn)
	})
}

// Nothing is a question or an answer without content.
type Nothing struct{}

// Text travels as it is.
type Text string

// encode is CBOR, but for what has travelled in another way since the first
// version.
func encode(v any) ([]byte, error) {
	switch v := v.(type) {
	case Nothing:
		return nil, nil
	case Text:
		return []byte(v), nil
	case rookery.AccountID:
		return v[:], nil
	case GroupCheck:
		return json.Marshal(v)
	}
	return cbor.Marshal(v)
}

func decode(b []byte, into any) error {
	switch into := into.(type) {
	case *Nothing:
		return nil
	case *Text:
		*into = Text(b)
		return nil
	case *rookery.AccountID:
		if len(b) != len(into) {
			return errors.New("not the id of an account")
		}
		*into = rookery.AccountID(b)
		return nil
	case *GroupCheck:
		return json.Unmarshal(b, into)
	}
	return cbor.Unmarshal(b, into)
}

// forget clears the bytes of what must not stay in memory.
func forget(what any, b []byte) {
	if _, secret := what.(Key); secret {
		clear(b)
	}
}
