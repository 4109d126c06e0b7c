package dkim

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"rookery"
)

// read reads a message: its header fields, and the hash of its body.
func read(r io.Reader) (m struct {
	fields   []field
	bodyHash []byte
}, err error) {
	header, rest, err := readHeader(r)
	if err != nil {
		return m, err
	}
	if m.fields, err = splitHeader(header); err != nil {
		return m, err
	}
	m.bodyHash, err = hashBody(io.MultiReader(bytes.NewReader(rest), r))
	return m, err
}

// chunk is how much is read at once.
const chunk = 32 << 10

// ReadHeader reads the header block of a message, for SigningDomain; message reads
// all of it from its beginning.
//
// Errors: KindTooLarge for a header beyond MaxHeader; else the reader's.
func ReadHeader(r io.Reader) (header []byte, message io.Reader, err error) {
	buf, end, _, err := readBlock(r)
	if err != nil {
		return nil, nil, rookery.E("read a header", rookery.KindOf(err), err)
	}
	return buf[:end], io.MultiReader(bytes.NewReader(buf), r), nil
}

// readHeader reads the header block up to the blank line, or to the end of a
// message that has none. rest is what was read of the body.
func readHeader(r io.Reader) (header, rest []byte, err error) {
	buf, end, body, err := readBlock(r)
	if err != nil {
		return nil, nil, err
	}
	return buf[:end], buf[body:], nil
}

// readBlock reads until the header is there: it ends at end, and what was read of
// the body begins at body.
func readBlock(r io.Reader) (buf []byte, end, body int, err error) {
	buf = make([]byte, 0, chunk)
	for {
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, min(2*cap(buf), MaxHeader+chunk)), buf...)
		}
		searched := max(0, len(buf)-3)
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if bytes.HasPrefix(buf, crlf) {
			return buf, 0, 2, nil
		}
		if i := bytes.Index(buf[searched:], blankLine); i >= 0 {
			i += searched + 2
			return buf, i, i + 2, nil
		}
		switch {
		case errors.Is(err, io.EOF):
			return buf, len(buf), len(buf), nil
		case err != nil:
			return nil, 0, 0, err
		case len(buf) > MaxHeader:
			return nil, 0, 0, rookery.E("read it", rookery.KindTooLarge,
				fmt.Errorf("%w: its header is larger than %d bytes", errUnsignable, MaxHeader))
		}
	}
}

var (
	crlf      = []byte("\r\n")
	blankLine = []byte("\r\n\r\n")
)

// field is a header field as it stands in the message, without the last CRLF.
type field struct {
	name string // in lower case
	text []byte // name, colon and value
}

// splitHeader cuts a header block into its fields. Lines that are none are
// passed over.
func splitHeader(block []byte) (fields []field, err error) {
	open := false // the last line belongs to a field
	for len(block) > 0 {
		line, rest, _ := bytes.Cut(block, crlf)
		if bytes.ContainsAny(line, "\r\n") {
			return nil, unsignable("its header has a CR or LF that stands alone")
		}
		start := len(block)
		block = rest
		if line = line[:len(line):start]; len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
			if open {
				last := &fields[len(fields)-1]
				last.text = last.text[:len(last.text)+2+len(line)]
			}
			continue
		}
		name, _, colon := bytes.Cut(line, []byte(":"))
		if open = colon; open {
			fields = append(fields, field{string(bytes.ToLower(bytes.TrimRight(name, " \t"))), line})
		}
	}
	return fields, nil
}

// hashBody is the SHA-256 of a body in relaxed canonical form (RFC 6376 3.4.4).
func hashBody(r io.Reader) ([]byte, error) {
	hash := sha256.New()
	c := canonicalBody{to: hash}
	buf := make([]byte, chunk)
	for {
		n, err := r.Read(buf)
		if werr := c.write(buf[:n]); werr != nil {
			return nil, werr
		}
		if errors.Is(err, io.EOF) {
			err = c.finish()
			return hash.Sum(nil), err
		}
		if err != nil {
			return nil, err
		}
	}
}
