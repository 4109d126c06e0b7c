package sevenbit

import (
	"bufio"
	"io"

	"rookery/storage/message"
	"rookery/storage/message/decode"
)

// converter writes a message part by part. A dry run finds what cannot be
// rewritten, and encodes nothing.
type converter struct {
	m        io.ReaderAt
	size     int64
	measured map[*message.Part]measures
	out      *bufio.Writer
	dry      bool
}

// section is a range of the message.
func (c *converter) section(from, to int64) *io.SectionReader {
	return io.NewSectionReader(c.m, from, to-from)
}

// copy writes a range as it is.
func (c *converter) copy(from, to int64) error {
	if c.dry {
		return nil
	}
	_, err := io.Copy(c.out, c.section(from, to))
	return err
}

// part writes a part with its header. isMessage says that the header is a
// message's, not one of a body part.
func (c *converter) part(p *message.Part, isMessage bool) error {
	end := p.BodyOffset + p.BodyLen
	if sealed(p) {
		m, err := measure(c.section(p.BodyOffset, end))
		if err != nil {
			return err
		}
		if !m.clean() {
			return cannot(ErrSealed, "%s/%s", p.Type, p.Subtype)
		}
		if err := c.header(p, change{isMessage: isMessage}); err != nil {
			return err
		}
		return c.copy(p.BodyOffset, end)
	}
	// A multipart without parts has one that stands for them, at its end.
	switch identity := p.Encoding == "7bit" || p.Encoding == "8bit" || p.Encoding == "binary"; {
	case identity && p.Type == "multipart" && p.Parts[0].Offset < end:
		return c.multipart(p, isMessage)
	case identity && p.Message != nil && (p.Message.Structure.BodyLen > 0 || p.Message.Structure.HeaderLen > 0):
		if err := c.header(p, change{label: relabelled(p), isMessage: isMessage}); err != nil {
			return err
		}
		return c.part(p.Message.Structure, true)
	}
	return c.leaf(p, isMessage)
}

// sealed says that the part's content is covered by a signature, or is one
// encrypted whole (RFC 1847, RFC 8551).
func sealed(p *message.Part) bool {
	return p.Is("multipart", "signed") || p.Is("multipart", "encrypted") || p.Is("application", "pkcs7-mime") ||
		p.Is("application", "x-pkcs7-mime")
}

// relabelled is the encoding of a container whose content becomes 7bit; "" where
// it says so already.
func relabelled(p *message.Part) string {
	if p.Encoding == "8bit" || p.Encoding == "binary" {
		return "7bit"
	}
	return ""
}

// multipart writes a multipart: its children, and what stands between them as it
// is. Text before the first and behind the last delimiter, which nobody is shown,
// goes where it is not 7bit.
func (c *converter) multipart(p *message.Part, isMessage bool) error {
	if err := c.header(p, change{label: relabelled(p), isMessage: isMessage}); err != nil {
		return err
	}
	at := p.BodyOffset
	for i, child := range p.Parts {
		if child.Offset < at {
			return cannot(ErrStructure, "parts overlap")
		}
		if err := c.between(at, child.Offset, i == 0, false); err != nil {
			return err
		}
		if err := c.part(child, false); err != nil {
			return err
		}
		at = child.BodyOffset + child.BodyLen
	}
	end := p.BodyOffset + p.BodyLen
	if end < at {
		return cannot(ErrStructure, "a part goes beyond its multipart")
	}
	return c.between(at, end, false, true)
}

// between writes what stands between two parts: a delimiter, and at first and
// last more text.
func (c *converter) between(from, to int64, first, last bool) error {
	m, err := measure(c.section(from, to))
	if err != nil || m.clean() {
		if err == nil {
			err = c.copy(from, to)
		}
		return err
	}
	// The delimiter is the last line before the first part, and the first after
	// the last, behind the line end that belongs to it.
	const most = 4096
	switch {
	case first:
		from = max(from, to-most)
		tail, err := read(c.section(from, to), most)
		if err != nil {
			return err
		}
		from += int64(lastLine(tail))
	case last:
		head, err := read(c.section(from, min(to, from+most)), most)
		if err != nil {
			return err
		}
		to = from + int64(twoLines(head))
	}
	if m, err = measure(c.section(from, to)); err != nil {
		return err
	}
	if !m.clean() {
		return cannot(ErrStructure, "a delimiter between parts is not US-ASCII")
	}
	return c.copy(from, to)
}

// leaf writes a part that has no others.
func (c *converter) leaf(p *message.Part, isMessage bool) error {
	end := p.BodyOffset + p.BodyLen
	m, ok := c.measured[p]
	if !ok {
		var err error
		if m, err = measure(c.section(p.BodyOffset, end)); err != nil {
			return err
		}
		c.measured[p] = m
	}
	if m.clean() {
		if err := c.header(p, change{label: relabelled(p), isMessage: isMessage}); err != nil {
			return err
		}
		return c.copy(p.BodyOffset, end)
	}
	coding, err := codingFor(p, m)
	if err != nil {
		return err
	}
	if err := c.header(p, change{label: coding, isMessage: isMessage, body: c.section(p.BodyOffset, end)}); err != nil || c.dry {
		return err
	}
	content, _ := decode.Transfer(p.Encoding, c.section(p.BodyOffset, end)) // it is known: codingFor says so
	atEnd := end == c.size
	if coding == "base64" {
		return encodeBase64(c.out, content, atEnd)
	}
	return encodeQuoted(c.out, bufio.NewReaderSize(content, 32<<10), atEnd)
}

// legible are the kinds of message/ that are text: fields for programs, which
// people read too. RFC 6533 lets those of UTF-8 be encoded.
var legible = map[string]bool{
	"delivery-status": true, "disposition-notification": true, "global-delivery-status": true,
	"global-disposition-notification": true, "global-headers": true,
}

// codingFor is the encoding for a content that is not 7bit: text stays legible
// unless that costs more than base64.
func codingFor(p *message.Part, m measures) (string, error) {
	if p.Type == "multipart" {
		return "", cannot(ErrStructure, "a multipart that is encoded, without parts or nested too deeply is not 7 bit")
	}
	switch p.Encoding {
	case "base64", "quoted-printable": // malformed, as with endless lines
		return p.Encoding, nil
	case "7bit", "8bit", "binary":
	default:
		return "", cannot(ErrStructure, "the encoding %.64q is unknown", p.Encoding)
	}
	text := p.Type == "text" || p.Type == "message" && legible[p.Subtype]
	switch {
	case p.Type == "message" && (p.Subtype == "rfc822" || p.Subtype == "partial" || p.Subtype == "external-body"):
		return "", cannot(ErrStructure, "a message/%s that cannot be read is not 7 bit (RFC 2046 5.2)", p.Subtype)
	case text && m.escaped*5 <= m.size:
		return "quoted-printable", nil
	}
	return "base64", nil
}

// read reads at most most bytes.
func read(r io.Reader, most int64) ([]byte, error) { return io.ReadAll(io.LimitReader(r, most)) }

// lastLine is where the last line of b begins, which ends in CRLF.
func lastLine(b []byte) int {
	for i := len(b) - 2; i > 0; i-- {
		if b[i-1] == '\n' {
			return i
		}
	}
	return 0
}

// twoLines is the length of the first line end of b and the line behind it.
func twoLines(b []byte) int {
	n := 0
	for i, c := range b {
		if c == '\n' {
			if n++; n == 2 {
				return i + 1
			}
		}
	}
	return len(b)
}
