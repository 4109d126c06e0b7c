package proxy

import (
	"bytes"
	"strconv"
)

// boundary follows a server's IMAP responses: where a line is whole, so that
// another may follow, and whether the last was a BYE. Literals (RFC 9051 4.3)
// are skipped by their length.
type boundary struct {
	literal int64
	head    []byte // of the line, as much as "* BYE" needs
	tail    []byte // as much as a literal's length needs
	begun   bool
	bye     bool
}

const (
	headKept = 5
	tailKept = 24
)

func (b *boundary) whole() bool { return b.literal == 0 && !b.begun }

func (b *boundary) pass(p []byte) {
	for len(p) > 0 {
		if b.literal > 0 {
			n := min(b.literal, int64(len(p)))
			b.literal -= n
			p = p[n:]
			continue
		}
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			b.keep(p)
			return
		}
		b.keep(p[:i])
		p = p[i+1:]
		b.end()
	}
}

func (b *boundary) keep(p []byte) {
	b.begun = b.begun || len(p) > 0
	if n := headKept - len(b.head); n > 0 {
		b.head = append(b.head, p[:min(n, len(p))]...)
	}
	if len(p) >= tailKept {
		b.tail = append(b.tail[:0], p[len(p)-tailKept:]...)
		return
	}
	b.tail = append(b.tail, p...)
	if over := len(b.tail) - tailKept; over > 0 {
		b.tail = append(b.tail[:0], b.tail[over:]...)
	}
}

// end is at a line feed: the line's, or the one before a literal.
func (b *boundary) end() {
	line := bytes.TrimSuffix(b.tail, []byte("\r"))
	b.tail = b.tail[:0]
	if i := bytes.LastIndexByte(line, '{'); i >= 0 && bytes.HasSuffix(line, []byte("}")) {
		if n, err := strconv.ParseInt(string(line[i+1:len(line)-1]), 10, 64); err == nil && n >= 0 {
			b.literal, b.begun = n, true
			return
		}
	}
	b.bye = bytes.EqualFold(b.head, []byte("* BYE"))
	b.begun, b.head = false, b.head[:0]
}
