// Package sevenbit rewrites messages of our own users so that hosts that know
// neither 8BITMIME nor SMTPUTF8 can take them: every part is 7bit,
// quoted-printable or base64, every header field US-ASCII, no line longer than
// 998 octets (RFC 5322 2.1.1, RFC 6152 3). It owns the choice of the encoding and
// of what cannot be rewritten.
//
// It never touches what somebody has signed or encrypted, nor changes what a part
// says: decoded, each is octet by octet what it was. It is not for mail of others,
// whose signatures it would break. It keeps no content in memory, only one header
// at a time.
package sevenbit

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"rookery"
	"rookery/storage/message"
)

// MaxHeader bounds a header block in bytes.
const MaxHeader = 1 << 20

// maxLine bounds a line without its CRLF.
const maxLine = 998

// Why a message cannot be rewritten. They are in the chain of Convert's errors.
var (
	// ErrSealed is a signature or encryption that the change would break:
	// multipart/signed, multipart/encrypted or application/pkcs7-mime.
	ErrSealed = errors.New("a signed or encrypted part would change")
	// ErrHeader is a header field that US-ASCII cannot say, as an address with a
	// local part of other characters, or one that cannot be folded.
	ErrHeader = errors.New("a header field cannot be written in US-ASCII")
	// ErrStructure is a part that has more than RFC 2045 allows it: it is nested
	// too deeply, there are too many, or its encoding is unknown or forbidden.
	ErrStructure = errors.New("the structure cannot be rewritten")
)

// Convert writes the message, rewritten where it must be; changed is false where
// it is 7 bit as it is, and then what is written is the message itself. The
// message is read several times, and nothing is written before it is clear that
// all of it can be rewritten.
//
// Errors: KindInvalid with ErrSealed, ErrHeader or ErrStructure; others are those
// of reading and writing.
func Convert(w io.Writer, m io.ReaderAt, size int64) (changed bool, err error) {
	changed, err = convert(w, m, size)
	if err != nil {
		return changed, rookery.E("bring a message to 7 bit", rookery.KindOf(err), err)
	}
	return changed, nil
}

func convert(w io.Writer, m io.ReaderAt, size int64) (changed bool, err error) {
	whole, err := measure(io.NewSectionReader(m, 0, size))
	if err != nil {
		return false, err
	}
	if whole.clean() {
		_, err := io.Copy(w, io.NewSectionReader(m, 0, size))
		return false, err
	}
	s := message.NewScanner()
	defer s.Close()
	if _, err := io.Copy(s, io.NewSectionReader(m, 0, size)); err != nil {
		return false, err
	}
	root := s.Finish().Structure
	parts := 0
	root.Walk(func(*message.Part) bool { parts++; return true })
	if parts >= message.MaxParts {
		return false, cannot(ErrStructure, "it has %d parts or more", message.MaxParts)
	}
	c := &converter{m: m, size: size, measured: map[*message.Part]measures{}, out: bufio.NewWriter(io.Discard), dry: true}
	if err := c.part(root, true); err != nil {
		return false, err
	}
	c.out, c.dry = bufio.NewWriterSize(w, 32<<10), false
	if err := c.part(root, true); err != nil {
		return false, err
	}
	return true, c.out.Flush()
}

func cannot(why error, format string, args ...any) error {
	return rookery.E("rewrite it", rookery.KindInvalid, fmt.Errorf("%w: %w", why, fmt.Errorf(format, args...)))
}

// measures are what of a content matters here.
type measures struct {
	size    int64
	escaped int64 // octets that quoted-printable escapes: above 127, NUL, a CR or LF that stands alone
	longest int64 // line
	whole   bool  // it ends with a CRLF, or is empty
}

// clean says that the content is 7bit (RFC 2045 2.7).
func (m measures) clean() bool { return m.escaped == 0 && m.longest <= maxLine }

// measure reads a content to its end.
func measure(r io.Reader) (m measures, err error) {
	b := bufio.NewReaderSize(r, 32<<10)
	var line int64
	m.whole = true
	for {
		c, err := b.ReadByte()
		if errors.Is(err, io.EOF) {
			m.longest = max(m.longest, line)
			return m, nil
		}
		if err != nil {
			return m, err
		}
		m.size++
		m.whole = false
		if c == '\r' {
			if next, _ := b.Peek(1); len(next) == 1 && next[0] == '\n' {
				b.ReadByte() // it is there
				m.size++
				m.whole = true
				m.longest = max(m.longest, line)
				line = 0
				continue
			}
		}
		if c >= 0x80 || c == 0 || c == '\r' || c == '\n' {
			m.escaped++
		}
		line++
	}
}
