package message

import (
	"bufio"
	"bytes"
	"html"
	"io"
	"strings"
)

// htmlReader gives the text of HTML, well enough for a search and a preview. It
// looks at each byte once and remembers no more than a tag's name.
type htmlReader struct {
	r   *bufio.Reader
	out []byte // text not yet read
	buf [64]byte
}

func newHTMLReader(r io.Reader) *htmlReader { return &htmlReader{r: bufio.NewReaderSize(r, 2048)} }

func (h *htmlReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(h.out) > 0 {
			k := copy(p[n:], h.out)
			h.out, n = h.out[k:], n+k
			continue
		}
		c, err := h.r.ReadByte()
		if err != nil {
			if n > 0 {
				return n, nil
			}
			return 0, err
		}
		switch c {
		case '<':
			h.tag()
		case '&':
			h.entity()
		default:
			p[n] = c
			n++
		}
	}
	return n, nil
}

// entity decodes a character reference.
func (h *htmlReader) entity() {
	next, _ := h.r.Peek(12)
	if end := bytes.IndexByte(next, ';'); end > 0 {
		ref := "&" + string(next[:end+1])
		if text := html.UnescapeString(ref); text != ref {
			h.r.Discard(end + 1)
			h.out = append(h.buf[:0], text...)
			return
		}
	}
	h.out = append(h.buf[:0], '&')
}

// tag passes over a tag, a comment, or an element that holds no text.
func (h *htmlReader) tag() {
	next, _ := h.r.Peek(3)
	if string(next) == "!--" {
		h.r.Discard(3)
		h.skipTo("-->")
		return
	}
	if len(next) == 0 || !(isLetter(next[0]) || next[0] == '/' || next[0] == '!' || next[0] == '?') {
		h.out = append(h.buf[:0], '<')
		return
	}
	closing, name := h.name()
	h.skipTo(">")
	switch name {
	case "style", "script", "title":
		if !closing {
			h.skipTo("</" + name)
			h.skipTo(">")
		}
	case "a", "abbr", "b", "big", "code", "em", "font", "i", "s", "small", "span", "strong", "sub", "sup", "u", "wbr":
	default:
		h.out = append(h.buf[:0], ' ')
	}
}

// name reads a tag's name in lower case, and whether it is a closing one.
func (h *htmlReader) name() (closing bool, name string) {
	if next, _ := h.r.Peek(1); len(next) == 1 && next[0] == '/' {
		h.r.Discard(1)
		closing = true
	}
	next, _ := h.r.Peek(16)
	n := 0
	for n < len(next) && (isLetter(next[n]) || next[n] >= '0' && next[n] <= '9') {
		n++
	}
	name = strings.ToLower(string(next[:n]))
	h.r.Discard(n)
	return closing, name
}

// skipTo passes over everything up to and including end, in any case.
func (h *htmlReader) skipTo(end string) {
	for at := 0; at < len(end); {
		c, err := h.r.ReadByte()
		if err != nil {
			return
		}
		switch lower := c | 0x20; {
		case c == end[at] || isLetter(c) && lower == end[at]:
			at++
		case end == "-->" && c == '-' && at == 2: // a third dash
		case c == end[0]:
			at = 1
		default:
			at = 0
		}
	}
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
