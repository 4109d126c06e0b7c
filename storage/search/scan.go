package search

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// scanner looks for several needles in the texts of one message after the
// other, in one pass over each.
type scanner struct {
	needles []needle
	wants   [][]byte // the needles as they stand in a window
	found   []bool
	left    int // not found yet
	keep    int // what must stay of a window, for a match that lies across
	buf     []byte
	window  []byte
}

// scanChunk is how much of a text is looked through at a time.
const scanChunk = 32 << 10

func newScanner(needles []needle) *scanner {
	s := &scanner{needles: needles, found: make([]bool, len(needles))}
	for _, n := range needles {
		s.wants = append(s.wants, []byte(flatten(string(n))))
		// Folding changes a rune's length by little.
		s.keep = max(s.keep, 3*len(n)+64)
	}
	return s
}

// begin forgets the last message. Needles of nothing are in every one.
func (s *scanner) begin() {
	s.left = 0
	for i, w := range s.wants {
		if s.found[i] = len(w) == 0; !s.found[i] {
			s.left++
		}
	}
}

func (s *scanner) mark(i int) {
	s.found[i] = true
	s.left--
}

// header looks through a header block.
func (s *scanner) header(ctx context.Context, block []byte) error {
	f, err := wholeHeader(ctx, block)
	for i, n := range s.needles {
		if !s.found[i] && f.has(n) {
			s.mark(i)
		}
	}
	return err
}

// read looks through a stream of UTF-8. Line ends count as spaces, so that
// what was wrapped is found.
func (s *scanner) read(ctx context.Context, r io.Reader) error {
	if s.buf == nil {
		s.buf = make([]byte, scanChunk+s.keep)
	}
	n := 0
	for s.left > 0 {
		m, err := r.Read(s.buf[n:])
		n += m
		if n < len(s.buf) && err == nil {
			continue
		}
		whole := n
		if err == nil {
			whole = runeBoundary(s.buf[:n])
			err = ctx.Err()
		}
		s.look(s.buf[:whole])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		from := max(whole-s.keep, 0)
		for from > 0 && !utf8.RuneStart(s.buf[from]) {
			from--
		}
		n = copy(s.buf, s.buf[from:n])
	}
	return nil
}

// look looks for what is still missing in a window.
func (s *scanner) look(b []byte) {
	if ascii(b) {
		s.window = flattenASCII(s.window[:0], b)
	} else {
		s.window = append(s.window[:0], flatten(foldText(string(b)))...)
	}
	for i, w := range s.wants {
		if !s.found[i] && bytes.Contains(s.window, w) {
			s.mark(i)
		}
	}
}

// runeBoundary is the length of b without a rune cut off at its end.
func runeBoundary(b []byte) int {
	for i := len(b) - 1; i >= 0 && i > len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			if utf8.FullRune(b[i:]) {
				return len(b)
			}
			return i
		}
	}
	return len(b)
}

// flatten makes each run of white space one space.
func flatten(s string) string { return strings.Join(strings.FieldsFunc(s, isSpace), " ") }

func isSpace(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == '\n' || r == 0xa0 }

// flattenASCII is flatten and lower case for text of ASCII, into out.
func flattenASCII(out, text []byte) []byte {
	out = slices.Grow(out, len(text))
	space := true
	for _, c := range text {
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			if !space {
				out = append(out, ' ')
			}
			space = true
			continue
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		}
		out, space = append(out, c), false
	}
	return bytes.TrimSuffix(out, []byte(" "))
}
