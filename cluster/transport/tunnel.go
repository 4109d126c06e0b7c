package transport

import (
	"context"
	"errors"
	"net"
	"time"

	"rookery"
)

// DialConn opens a tunnel to a node: a connection whose bytes are the
// handler's there and the caller's here. ctx bounds the opening only. It has
// CloseWrite. The errors are those of Call: after KindUnknown the handler may
// have seen the header.
func (t *Transport) DialConn(ctx context.Context, to rookery.NodeID, name string, header []byte) (net.Conn, error) {
	c, err := t.open(ctx, sortTunnel, to, name, header)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (t *Transport) serveTunnel(c *conn, name string, header []byte) {
	h, ok := t.tunnels.get(name)
	switch {
	case !ok:
		answerOpening(c, statusRefused, rookery.KindNotFound, ErrNoHandler)
		return
	case t.isClosing() || !t.tunnelSlots.TryAcquire(1):
		answerOpening(c, statusRefused, rookery.KindLimit, errors.New("the node is stopping, or too many tunnels are open"))
		return
	}
	defer t.tunnelSlots.Release(1)
	if answerOpening(c, statusOK, 0, nil) != nil {
		return
	}
	c.SetDeadline(time.Time{})
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	h(ctx, c.peer, header, c)
}
