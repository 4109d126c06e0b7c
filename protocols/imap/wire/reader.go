package wire

import (
	"io"
)

// Reader is a connection's input. It takes a buffer from the pool when input
// arrives and gives it back when all of it has been used.
type Reader struct {
	conn   io.Reader
	pools  *Buffers
	before func() error
	buf    *[BufferSize]byte
	r, w   int
	one    [1]byte
	total  int64
}

// NewReader reads from conn. before is called ahead of each read of conn once
// a command has begun: it flushes output and moves the deadline.
func NewReader(conn io.Reader, pools *Buffers, before func() error) *Reader {
	return &Reader{conn: conn, pools: pools, before: before}
}

// Reset goes on with another connection (after STARTTLS); buffered input of
// the old one is dropped.
func (r *Reader) Reset(conn io.Reader) {
	r.conn = conn
	r.Close()
}

// Close gives the buffer back.
func (r *Reader) Close() {
	if r.buf != nil {
		r.pools.in.Put(r.buf)
		r.buf = nil
	}
	r.r, r.w = 0, 0
}

// Buffered is the number of octets that have arrived and are unused.
func (r *Reader) Buffered() int { return r.w - r.r }

// Total counts the octets read from the connection so far.
func (r *Reader) Total() int64 { return r.total }

// Wait returns when at least one octet is there. While it blocks it holds no
// buffer. It sets no deadline and does not call before.
func (r *Reader) Wait() error {
	if r.r < r.w {
		return nil
	}
	r.Close()
	n, err := r.conn.Read(r.one[:])
	if n == 0 {
		if err == nil {
			err = io.ErrNoProgress
		}
		return err
	}
	r.total++
	r.buf = r.pools.in.Get().(*[BufferSize]byte)
	r.buf[0] = r.one[0]
	r.r, r.w = 0, 1
	return nil
}

// fill makes at least one more octet available.
func (r *Reader) fill() error {
	if r.r < r.w {
		return nil
	}
	if err := r.before(); err != nil {
		return err
	}
	if r.buf == nil {
		r.buf = r.pools.in.Get().(*[BufferSize]byte)
	}
	r.r, r.w = 0, 0
	for range 100 {
		n, err := r.conn.Read(r.buf[:])
		if n > 0 {
			r.w = n
			r.total += int64(n)
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// Read takes what is buffered, else reads into p directly.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if r.r == r.w && len(p) >= BufferSize {
		if err := r.before(); err != nil {
			return 0, err
		}
		n, err := r.conn.Read(p)
		r.total += int64(n)
		if n > 0 {
			err = nil
		}
		return n, err
	}
	if err := r.fill(); err != nil {
		return 0, err
	}
	n := copy(p, r.buf[r.r:r.w])
	r.r += n
	return n, nil
}
