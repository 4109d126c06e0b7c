package sevenbit

import (
	"bufio"
	"encoding/base64"
	"errors"
	"io"
)

// maxEncoded is the length of encoded lines (RFC 2045 6.7 and 6.8).
const maxEncoded = 76

// encodeQuoted writes content as quoted-printable. A line end is CRLF; a CR or
// LF that stands alone is an octet like others. No line begins like a delimiter,
// nor with "From ". atEnd says that nothing follows, so that the last line needs
// its end.
func encodeQuoted(w *bufio.Writer, r *bufio.Reader, atEnd bool) error {
	const digits = "0123456789ABCDEF"
	column := 0
	for {
		c, err := r.ReadByte()
		if errors.Is(err, io.EOF) {
			if atEnd && column > 0 {
				_, err = w.WriteString("=\r\n")
				return err
			}
			return nil
		}
		if err != nil {
			return err
		}
		next, _ := r.Peek(4) // what fails shows at the next read
		if c == '\r' && len(next) > 0 && next[0] == '\n' {
			r.Discard(1)
			w.WriteString("\r\n")
			column = 0
			continue
		}
		if column > maxEncoded-4 {
			w.WriteString("=\r\n")
			column = 0
		}
		if literal(c, next, column) {
			w.WriteByte(c)
			column++
		} else {
			w.Write([]byte{'=', digits[c>>4], digits[c&15]})
			column += 3
		}
		if w.Available() == 0 { // a writer that fails shows here, not at the end of a large part
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
}

// literal says whether an octet may stand for itself.
func literal(c byte, next []byte, column int) bool {
	switch {
	case c == ' ' || c == '\t':
		return len(next) > 0 && next[0] != '\r' && next[0] != '\n'
	case column == 0 && c == '-':
		return len(next) == 0 || next[0] != '-'
	case column == 0 && c == 'F':
		return string(next) != "rom "
	}
	return c > ' ' && c < 0x7f && c != '='
}

// encodeBase64 writes content as base64. atEnd is as for encodeQuoted.
func encodeBase64(w *bufio.Writer, r io.Reader, atEnd bool) error {
	const perLine = maxEncoded / 4 * 3
	in := make([]byte, perLine*512)
	var out []byte
	first := true
	for {
		n, err := io.ReadFull(r, in)
		for rest := in[:n]; len(rest) > 0; {
			line := rest[:min(len(rest), perLine)]
			rest = rest[len(line):]
			if !first {
				w.WriteString("\r\n")
			}
			first = false
			out = base64.StdEncoding.AppendEncode(out[:0], line)
			if _, err := w.Write(out); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			if atEnd && !first {
				_, err := w.WriteString("\r\n")
				return err
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}
