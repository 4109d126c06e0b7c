package smtp

import "net"

// queue is a listener that connections are put into.
type queue struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
}

func newQueue(addr net.Addr) *queue {
	return &queue{addr, make(chan net.Conn), make(chan struct{})}
}

// offer hands a connection over; false when nobody takes it any more.
func (q *queue) offer(c net.Conn) bool {
	select {
	case q.conns <- c:
		return true
	case <-q.closed:
		return false
	}
}

// Accept gives the next connection.
func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept; it is called once.
func (q *queue) Close() error { close(q.closed); return nil }

// Addr is the address of the listener that the connections came from.
func (q *queue) Addr() net.Addr { return q.addr }
