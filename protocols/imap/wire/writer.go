package wire

import (
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// Writer is a connection's output. It takes a buffer from the pool with the
// first octet and gives it back with Flush. After the first error it writes
// nothing more; Err tells it.
type Writer struct {
	conn   io.Writer
	pools  *Buffers
	before func()
	buf    *[OutputSize]byte
	n      int
	err    error
	total  int64
	// UTF8 allows UTF-8 in quoted strings (RFC 9051, RFC 9755).
	UTF8 bool
}

// NewWriter writes to conn. before is called ahead of each write to it, to
// move the deadline.
func NewWriter(conn io.Writer, pools *Buffers, before func()) *Writer {
	return &Writer{conn: conn, pools: pools, before: before}
}

// Reset goes on with another connection (after STARTTLS).
func (w *Writer) Reset(conn io.Writer) { w.conn = conn }

// Err is the connection's first error.
func (w *Writer) Err() error { return w.err }

// Total counts the octets written to the connection.
func (w *Writer) Total() int64 { return w.total }

// Flush sends what is buffered and gives the buffer back.
func (w *Writer) Flush() error {
	w.send()
	if w.buf != nil {
		w.pools.out.Put(w.buf)
		w.buf = nil
	}
	return w.err
}

func (w *Writer) send() {
	if w.n > 0 && w.err == nil {
		w.before()
		n, err := w.conn.Write(w.buf[:w.n])
		w.total += int64(n)
		w.err = err
	}
	w.n = 0
}

// room gives free space in the buffer, sending it first when it is full.
func (w *Writer) room() []byte {
	if w.buf == nil {
		w.buf = w.pools.out.Get().(*[OutputSize]byte)
	}
	if w.n == len(w.buf) {
		w.send()
	}
	return w.buf[w.n:]
}

// Text writes s as it is.
func (w *Writer) Text(s string) *Writer {
	for len(s) > 0 && w.err == nil {
		n := copy(w.room(), s)
		w.n += n
		s = s[n:]
	}
	return w
}

// Write writes p as it is, to satisfy io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && w.err == nil {
		c := copy(w.room(), p)
		w.n += c
		p = p[c:]
	}
	if w.err != nil {
		return 0, w.err
	}
	return n, nil
}

// Byte writes one octet.
func (w *Writer) Byte(c byte) *Writer {
	if w.err == nil {
		w.room()[0] = c
		w.n++
	}
	return w
}

// CRLF ends a line.
func (w *Writer) CRLF() *Writer { return w.Text("\r\n") }

// Uint writes a number.
func (w *Writer) Uint(n uint64) *Writer {
	var some [20]byte
	w.Write(strconv.AppendUint(some[:0], n, 10))
	return w
}

// Set writes a number set.
func (w *Writer) Set(s Set) *Writer {
	var some [24]byte
	for i := range s {
		if i > 0 {
			w.Byte(',')
		}
		w.Write(s[i : i+1].AppendText(some[:0]))
	}
	return w
}

// String writes a string: quoted where that is allowed, else a literal. NUL,
// which no string may hold, becomes a space.
func (w *Writer) String(s string) *Writer {
	switch form(s, w.UTF8) {
	case asQuoted:
		return w.Byte('"').Text(s).Byte('"')
	case asEscaped:
		w.Byte('"')
		for i := 0; i < len(s); i++ {
			if s[i] == '"' || s[i] == '\\' {
				w.Byte('\\')
			}
			w.Byte(s[i])
		}
		return w.Byte('"')
	}
	w.LiteralHeader(int64(len(s)), false)
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == 0 {
			c = ' '
		}
		w.Byte(c)
	}
	return w
}

// NString writes a string, or NIL where there is none.
func (w *Writer) NString(s string, there bool) *Writer {
	if !there {
		return w.Text("NIL")
	}
	return w.String(s)
}

type stringForm int

const (
	asQuoted stringForm = iota
	asEscaped
	asLiteral
)

// maxQuoted is the longest quoted string written; some clients read lines
// into small buffers.
const maxQuoted = 1000

func form(s string, utf8OK bool) stringForm {
	if len(s) > maxQuoted {
		return asLiteral
	}
	f, high := asQuoted, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			f = asEscaped
		case c < 0x20 || c == 0x7f:
			return asLiteral
		case c >= 0x80:
			high = true
		}
	}
	if high && (!utf8OK || !utf8.ValidString(s)) {
		return asLiteral
	}
	return f
}

// LiteralHeader announces n octets, which the caller then writes.
func (w *Writer) LiteralHeader(n int64, binary bool) *Writer {
	if binary {
		w.Byte('~')
	}
	return w.Byte('{').Uint(uint64(n)).Text("}\r\n")
}

// Copy writes exactly n octets of r, through the buffer. When r ends early or
// fails after the literal was announced, the connection cannot be kept in
// step: the error sticks and the caller closes it.
func (w *Writer) Copy(r io.Reader, n int64) error {
	for n > 0 && w.err == nil {
		room := w.room()
		if int64(len(room)) > n {
			room = room[:n]
		}
		m, err := r.Read(room)
		w.n += m
		n -= int64(m)
		if err != nil && n > 0 {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			w.send()
			if w.err == nil {
				w.err = fmt.Errorf("a literal could not be completed: %w", err)
			}
			return err
		}
	}
	return w.err
}

// AString writes an astring: an atom where that is possible.
func (w *Writer) AString(s string) *Writer {
	for i := 0; i < len(s); i++ {
		if classes[s[i]]&inAStr == 0 {
			return w.String(s)
		}
	}
	if s == "" || Fold(s, "NIL") {
		return w.String(s)
	}
	return w.Text(s)
}
