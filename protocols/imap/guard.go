package imap

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"syscall"
	"time"
)

// guardInterval is how often a long command looks whether its client is there.
const guardInterval = time.Second

// guard ends a command's context when the client goes away. Nothing is read:
// only whether the connection has been closed is asked, where the operating
// system tells. A short command never gets that far.
func (s *session) guard(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	raw := rawConn(s.conn)
	if raw == nil || s.in.Buffered() > 0 {
		return ctx, cancel
	}
	var mu sync.Mutex
	var timer *time.Timer
	stopped := false
	mu.Lock()
	timer = time.AfterFunc(guardInterval, func() {
		gone := closedByPeer(raw)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case stopped:
		case gone:
			cancel()
		default:
			timer.Reset(guardInterval)
		}
	})
	mu.Unlock()
	return ctx, func() {
		mu.Lock()
		stopped = true
		mu.Unlock()
		timer.Stop()
		cancel()
	}
}

// rawConn finds the socket below TLS and wrappers that show what they wrap.
func rawConn(c net.Conn) syscall.RawConn {
	for range 4 {
		switch t := c.(type) {
		case *tls.Conn:
			c = t.NetConn()
		case syscall.Conn:
			raw, err := t.SyscallConn()
			if err != nil {
				return nil
			}
			return raw
		case interface{ NetConn() net.Conn }:
			c = t.NetConn()
		case interface{ Raw() net.Conn }:
			c = t.Raw()
		default:
			return nil
		}
	}
	return nil
}

// closedByPeer peeks at the socket without waiting.
func closedByPeer(raw syscall.RawConn) (closed bool) {
	err := raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		closed = n == 0 && err == nil || err == syscall.ECONNRESET || err == syscall.EPIPE
	})
	return closed || err != nil
}
