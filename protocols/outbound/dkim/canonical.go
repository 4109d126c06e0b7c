package dkim

import (
	"bytes"
	"io"
)

// canonicalBody writes a body in relaxed canonical form (RFC 6376 3.4.4): runs
// of white space become one blank, those at line ends and empty lines at the end
// nothing; a last line gets its line end.
type canonicalBody struct {
	to    io.Writer // a hash, which takes everything
	out   []byte
	lines int64 // line ends read and not written: empty lines so far
	blank bool  // white space read and not written
	cr    bool  // the last byte was a CR
	any   bool  // something was written since the start
}

func (c *canonicalBody) write(p []byte) error {
	for len(p) > 0 {
		b := p[0]
		if c.cr != (b == '\n') {
			return unsignable("its body has a CR or LF that stands alone")
		}
		switch b {
		case '\r':
			c.cr = true
		case '\n':
			c.cr, c.blank = false, false
			c.lines++
		case ' ', '\t':
			c.blank = true
		default:
			c.owed()
			n := 1
			for n < len(p) && p[n] != ' ' && p[n] != '\t' && p[n] != '\r' && p[n] != '\n' {
				n++
			}
			c.put(p[:n])
			p = p[n:]
			continue
		}
		p = p[1:]
	}
	return nil
}

// owed writes the line ends and the blank that stand before text.
func (c *canonicalBody) owed() {
	for ; c.lines > 0; c.lines-- {
		c.put(crlf)
	}
	if c.blank {
		c.put([]byte{' '})
		c.blank = false
	}
	c.any = true
}

func (c *canonicalBody) put(p []byte) {
	c.out = append(c.out, p...)
	if len(c.out) >= chunk {
		c.flush()
	}
}

func (c *canonicalBody) flush() {
	c.to.Write(c.out)
	c.out = c.out[:0]
}

// finish ends the body.
func (c *canonicalBody) finish() error {
	if c.cr {
		return unsignable("its body ends in a CR that stands alone")
	}
	if c.any {
		c.put(crlf)
	}
	c.flush()
	return nil
}

// relaxed is a header field in relaxed canonical form (RFC 6376 3.4.2), without
// the last CRLF.
func relaxed(f field) []byte {
	_, value, _ := bytes.Cut(f.text, []byte(":"))
	out := append(make([]byte, 0, len(f.text)), f.name...)
	out = append(out, ':')
	start := len(out)
	blank := false
	for _, b := range value {
		switch b {
		case ' ', '\t':
			blank = true
		case '\r', '\n':
		default:
			if blank && len(out) > start {
				out = append(out, ' ')
			}
			blank = false
			out = append(out, b)
		}
	}
	return out
}
