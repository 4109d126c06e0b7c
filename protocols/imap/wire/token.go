package wire

import (
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// class tells what an octet may be part of.
type class uint8

const (
	inAtom  class = 1 << iota // RFC 9051 atom-char
	inAStr                    // ASTRING-CHAR: atom-char or ]
	inList                    // list-char: atom-char, list-wildcards or ]
	inTag                     // ASTRING-CHAR without +
	inDigit                   // 0-9
)

var classes = func() (t [256]class) {
	for c := 0x21; c < 0x7f; c++ {
		switch c {
		case '(', ')', '{', '"', '\\':
		case '%', '*':
			t[c] = inList
		case ']':
			t[c] = inAStr | inList | inTag
		case '+':
			t[c] = inAtom | inAStr | inList
		default:
			t[c] = inAtom | inAStr | inList | inTag
		}
		if c >= '0' && c <= '9' {
			t[c] |= inDigit
		}
	}
	return t
}()

// word takes the longest run of octets of the class.
func (l *Lexer) word(k class, what string) string {
	var some [64]byte
	word := some[:0]
	for {
		if _, ok := l.Peek(); !ok {
			return ""
		}
		b := l.in.buf[l.in.r:min(l.in.w, l.in.r+max(l.line, 0)+1)]
		i := 0
		for i < len(b) && classes[b[i]]&k != 0 {
			i++
		}
		if l.line -= i; l.line < 0 {
			l.in.r += i
			l.err = &TooBigError{l.tooLong()}
			return ""
		}
		l.in.r += i
		if len(word) == 0 && i < len(b) {
			if i == 0 {
				l.missing(what, b[0])
				return ""
			}
			return string(b[:i])
		}
		word = append(word, b[:i]...)
		if i < len(b) {
			return string(word)
		}
	}
}

func (l *Lexer) missing(what string, found byte) {
	switch {
	case found == '\r' || found == '\n':
		l.Syntax("expected %s, found the end of the line", what)
	case found < 0x20 || found >= 0x7f:
		l.Syntax("expected %s, found the octet 0x%02x", what, found)
	default:
		l.Syntax("expected %s, found %q", what, string(rune(found)))
	}
}

// Tag takes a command's tag.
func (l *Lexer) Tag() string { return l.word(inTag, "a tag") }

// Atom takes an atom.
func (l *Lexer) Atom() string { return l.word(inAtom, "a word") }

// Digits takes a number of at most 63 bits.
func (l *Lexer) Digits() uint64 {
	s := l.word(inDigit, "a number")
	if l.err != nil {
		return 0
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		l.Syntax("the number %.30s is too large", s)
	}
	return n
}

// Number takes a number of 32 bits.
func (l *Lexer) Number() uint32 {
	n := l.Digits()
	if n > 1<<32-1 {
		l.Syntax("the number %d is too large", n)
		return 0
	}
	return uint32(n)
}

// AString takes an astring.
func (l *Lexer) AString() string {
	if l.Next('"') || l.Next('{') {
		return l.String()
	}
	return l.word(inAStr, "a string")
}

// ListMailbox takes a list-mailbox: a name that may hold wildcards.
func (l *Lexer) ListMailbox() string {
	if l.Next('"') || l.Next('{') {
		return l.String()
	}
	return l.word(inList, "a mailbox pattern")
}

// NString takes a string or NIL.
func (l *Lexer) NString() (string, bool) {
	if l.Next('"') || l.Next('{') {
		return l.String(), true
	}
	if w := l.Atom(); l.err == nil && !Fold(w, "NIL") {
		l.Syntax("expected a string or NIL, found %.40q", w)
	}
	return "", false
}

// String takes a quoted string or a literal.
func (l *Lexer) String() string {
	c, ok := l.Peek()
	switch {
	case !ok:
		return ""
	case c == '"':
		return l.quoted()
	case c == '{':
		return l.literal()
	}
	l.missing("a quoted string or a literal", c)
	return ""
}

func (l *Lexer) quoted() string {
	l.take()
	var some [64]byte
	s, high := some[:0], false
	for {
		c, ok := l.Peek()
		if !ok {
			return ""
		}
		switch {
		case c == '\r' || c == '\n':
			l.Syntax("a quoted string has no closing quote")
			return ""
		case c == 0:
			l.Syntax("a quoted string holds a NUL octet")
			return ""
		}
		l.take()
		if c == '"' {
			break
		}
		if c == '\\' {
			if c, ok = l.Peek(); !ok {
				return ""
			}
			if c != '"' && c != '\\' {
				l.Syntax("a backslash in a quoted string stands before neither a quote nor a backslash")
				return ""
			}
			l.take()
		}
		high = high || c >= 0x80
		s = append(s, c)
	}
	if l.err != nil {
		return ""
	}
	if high && !utf8.Valid(s) {
		l.Syntax("a quoted string is not UTF-8")
		return ""
	}
	return string(s)
}

func (l *Lexer) literal() string {
	h := l.LiteralHeader(l.budget)
	if l.err != nil {
		return ""
	}
	if h.Binary {
		l.skipRefused(h)
		l.Syntax("a binary literal is not allowed here")
		return ""
	}
	l.budget -= h.Size
	b := make([]byte, 0, min(h.Size, 4096))
	r := l.OpenLiteral(h)
	var chunk [512]byte
	for l.err == nil && int64(len(b)) < h.Size {
		n, err := r.Read(chunk[:])
		b = append(b, chunk[:n]...)
		if err != nil && err != io.EOF {
			return ""
		}
	}
	for _, c := range b {
		if c == 0 {
			l.Syntax("a literal holds a NUL octet")
			return ""
		}
	}
	return string(b)
}

// Until takes an atom that also ends at any octet of stop.
func (l *Lexer) Until(stop string) string {
	var some [64]byte
	word := some[:0]
	for {
		c, ok := l.Peek()
		if !ok {
			return ""
		}
		if classes[c]&inAtom == 0 || strings.IndexByte(stop, c) >= 0 {
			if len(word) == 0 {
				l.missing("a word", c)
				return ""
			}
			return string(word)
		}
		l.take()
		if l.err != nil {
			return ""
		}
		word = append(word, c)
	}
}
