// Package decode undoes what mail puts around text: content transfer encodings
// (RFC 2045 6) and charsets. It skips what is broken and never fails for it; it
// knows no headers and no structure.
package decode

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"rookery"
)

// Transfer undoes a Content-Transfer-Encoding, skipping what is broken. ok is
// false, and r returned unchanged, if the encoding is not known.
func Transfer(encoding string, r io.Reader) (decoded io.Reader, ok bool) {
	switch strings.ToLower(encoding) {
	case "", "7bit", "8bit", "binary":
		return r, true
	case "base64":
		return &base64Reader{r: r}, true
	case "quoted-printable":
		return &qpReader{r: bufio.NewReaderSize(r, 2048)}, true
	}
	return r, false
}

// DecodedSize counts the bytes Transfer gives, for BINARY.SIZE (RFC 3516).
// KindInvalid if the encoding is not known.
func DecodedSize(encoding string, r io.Reader) (int64, error) {
	d, ok := Transfer(encoding, r)
	if !ok {
		return 0, rookery.E("count decoded bytes", rookery.KindInvalid, fmt.Errorf("%.64q is no known transfer encoding", encoding))
	}
	return io.Copy(io.Discard, d)
}

// base64Reader decodes base64, passing over everything that is not of its
// alphabet. Padding ends a group, so joined texts decode one after the other.
type base64Reader struct {
	r    io.Reader
	in   [2048]byte
	rest []byte // of in, not yet decoded
	acc  uint32
	bits uint
	err  error
}

// base64Value maps the alphabet to 0-63 and everything else above.
var base64Value = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range len(alphabet) {
		t[alphabet[i]] = byte(i)
	}
	return t
}()

func (b *base64Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n := b.decode(p)
		if n > 0 {
			return n, nil
		}
		if b.err != nil {
			return 0, b.err
		}
		var k int
		k, b.err = b.r.Read(b.in[:])
		b.rest = b.in[:k]
	}
}

func (b *base64Reader) decode(p []byte) int {
	n, i := 0, 0
	for ; i < len(b.rest) && n < len(p); i++ {
		v := base64Value[b.rest[i]]
		if v > 63 {
			if b.rest[i] == '=' {
				b.acc, b.bits = 0, 0
			}
			continue
		}
		b.acc = b.acc<<6 | uint32(v)
		if b.bits += 6; b.bits >= 8 {
			b.bits -= 8
			p[n] = byte(b.acc >> b.bits)
			n++
		}
	}
	b.rest = b.rest[i:]
	return n
}

// qpReader decodes quoted-printable (RFC 2045 6.7). An = that starts nothing
// stays as it is.
type qpReader struct {
	r     *bufio.Reader
	out   []byte // decoded, not yet read
	store [maxBlank + 1]byte
}

// maxBlank bounds the white space looked at for the end of its line.
const maxBlank = 256

func (q *qpReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(q.out) > 0 {
			k := copy(p[n:], q.out)
			q.out, n = q.out[k:], n+k
			continue
		}
		c, err := q.r.ReadByte()
		if err != nil {
			if n > 0 {
				return n, nil
			}
			return 0, err
		}
		switch {
		case c == '=':
			q.escape()
		case c == ' ' || c == '\t':
			q.space(c)
		default:
			p[n] = c
			n++
		}
	}
	return n, nil
}

// escape decodes what follows an =.
func (q *qpReader) escape() {
	next, _ := q.r.Peek(2)
	if len(next) == 2 {
		if h, l := HexValue(next[0]), HexValue(next[1]); h >= 0 && l >= 0 {
			q.r.Discard(2)
			q.out = append(q.store[:0], byte(h<<4|l))
			return
		}
	}
	if n, ok := q.lineEnd(); ok {
		q.r.Discard(n) // a soft line break
		return
	}
	q.out = append(q.store[:0], '=')
}

// lineEnd looks whether only white space is left of the line, and tells its
// length with the line end.
func (q *qpReader) lineEnd() (int, bool) {
	for n := 0; n < maxBlank; n++ {
		next, err := q.r.Peek(n + 1)
		if err != nil {
			return n, len(next) == n && errors.Is(err, io.EOF)
		}
		switch next[n] {
		case ' ', '\t':
		case '\n':
			return n + 1, true
		case '\r':
			if next, _ = q.r.Peek(n + 2); len(next) == n+2 && next[n+1] == '\n' {
				return n + 2, true
			}
			return 0, false
		default:
			return 0, false
		}
	}
	return 0, false
}

// space drops white space at the end of a line and keeps all other.
func (q *qpReader) space(c byte) {
	q.out = append(q.store[:0], c)
	for len(q.out) < maxBlank {
		next, err := q.r.Peek(1)
		if err != nil || next[0] == '\n' || next[0] == '\r' {
			q.out = nil
			return
		}
		if next[0] != ' ' && next[0] != '\t' {
			return
		}
		q.out = append(q.out, next[0])
		q.r.Discard(1)
	}
}

// HexValue is the value of a hexadecimal digit, -1 for what is none.
func HexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
