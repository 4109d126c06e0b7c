package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// How much of a session is in memory: a little while it is quiet, buffers of a
// pool while much is under way. Who does not read holds the other side up.
const (
	quietBuffer = 1 << 10
	busyBuffer  = 32 << 10
)

// linger is how long the server may pause after the client has said its last.
const linger = 15 * time.Second

var buffers = sync.Pool{New: func() any { return new([busyBuffer]byte) }}

// End says how a carried session came to its end.
type End struct {
	// Farewell: the client is there, the server's last line is whole, and was
	// no BYE: the session was cut off and the client may be told.
	Farewell bool
	// Asked: the client has spoken and got nothing since.
	Asked bool
	// Left: it ended because reading of the client was interrupted.
	Left bool
}

// Carry passes bytes between client and tunnel until one of them ends, after
// those that the client has sent ahead. Whoever interrupts the reading of the
// client by a deadline has the session end after the running command. A write
// to either side may take as long as stall. It closes the tunnel.
func Carry(client, tunnel net.Conn, ahead []byte, stall time.Duration) (end End) {
	var asked, left, quiet atomic.Bool
	var up sync.WaitGroup
	up.Go(func() {
		asked.Store(len(ahead) > 0)
		forward := func(p []byte) error {
			tunnel.SetWriteDeadline(time.Now().Add(stall))
			_, err := tunnel.Write(p)
			return err
		}
		var err error
		if len(ahead) > 0 {
			err = forward(ahead)
		}
		if err == nil {
			err = pump(client, func(p []byte) error {
				asked.Store(true)
				return forward(p)
			})
		}
		left.Store(errors.Is(err, os.ErrDeadlineExceeded))
		half, ok := tunnel.(interface{ CloseWrite() error })
		if !ok || !left.Load() && !errors.Is(err, io.EOF) {
			tunnel.Close()
			return
		}
		quiet.Store(true)
		half.CloseWrite()
		tunnel.SetReadDeadline(time.Now().Add(linger))
	})
	var at boundary
	gone := false
	pump(tunnel, func(p []byte) error {
		asked.Store(false)
		at.pass(p)
		if quiet.Load() {
			tunnel.SetReadDeadline(time.Now().Add(linger))
		}
		client.SetWriteDeadline(time.Now().Add(stall))
		_, err := client.Write(p)
		gone = gone || err != nil
		return err
	})
	end = End{Farewell: !gone && at.whole() && !at.bye, Asked: asked.Load() && !gone, Left: left.Load()}
	tunnel.Close()
	client.SetReadDeadline(time.Unix(1, 0))
	up.Wait()
	return end
}

// pump reads until an error and hands on what came.
func pump(from io.Reader, emit func([]byte) error) error {
	var small [quietBuffer]byte
	for {
		n, err := from.Read(small[:])
		if n > 0 {
			if e := emit(small[:n]); e != nil {
				return e
			}
		}
		if err != nil {
			return err
		}
		if n == len(small) {
			if err := pumpMuch(from, emit); err != nil {
				return err
			}
		}
	}
}

// pumpMuch does so with a large buffer while much comes.
func pumpMuch(from io.Reader, emit func([]byte) error) error {
	b := buffers.Get().(*[busyBuffer]byte)
	defer buffers.Put(b)
	for {
		n, err := from.Read(b[:])
		if n > 0 {
			if e := emit(b[:n]); e != nil {
				return e
			}
		}
		if err != nil || n < quietBuffer {
			return err
		}
	}
}
