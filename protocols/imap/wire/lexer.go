package wire

import (
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Lexer reads commands. Its errors stick: after the first, every method
// returns its zero value, so a parser reads straight on and asks Err at the
// end. Begin starts the next command and clears the error; Finish ends it and
// leaves the connection at the next command's first octet.
type Lexer struct {
	in     *Reader
	limits Limits
	// accept asks the client for a synchronising literal.
	accept func() error

	err      error
	dead     error // the connection's own error
	line     int   // octets left on the line
	budget   int64 // octets left for literals
	literals int   // literals left
	skip     int64 // octets of a refused non-synchronising literal ahead
	ended    bool  // nothing of this command is ahead any more
}

// NewLexer reads from in. accept sends a command continuation request and
// flushes it.
func NewLexer(in *Reader, accept func() error) *Lexer {
	return &Lexer{in: in, accept: accept, ended: true}
}

// Begin starts a command under the limits.
func (l *Lexer) Begin(limits Limits) {
	l.limits = limits
	l.err, l.ended, l.skip = nil, false, 0
	l.line, l.budget, l.literals = limits.Line, limits.Literal, limits.Literals
}

// Err is what stopped the reading of this command: a *SyntaxError, a
// *TooBigError, what a parser gave to Fail, or the connection's error.
func (l *Lexer) Err() error { return l.err }

// Dead is the connection's error, if it has one.
func (l *Lexer) Dead() error { return l.dead }

// Ended reports that the command has been read to its end.
func (l *Lexer) Ended() bool { return l.ended }

// OK reports that nothing has gone wrong yet.
func (l *Lexer) OK() bool { return l.err == nil }

// Fail stops the reading with an error of the parser's own.
func (l *Lexer) Fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

// Syntax stops the reading with a SyntaxError.
func (l *Lexer) Syntax(format string, args ...any) {
	if l.err == nil {
		l.err = syntax(format, args...)
	}
}

// Peek shows the next octet without taking it.
func (l *Lexer) Peek() (byte, bool) {
	if l.err != nil {
		return 0, false
	}
	if l.ended {
		l.err = syntax("the command has ended too early")
		return 0, false
	}
	if err := l.in.fill(); err != nil {
		l.err, l.dead = err, err
		return 0, false
	}
	return l.in.buf[l.in.r], true
}

func (l *Lexer) take() {
	l.in.r++
	if l.line--; l.line < 0 && l.err == nil {
		l.err = &TooBigError{l.tooLong()}
	}
}

func (l *Lexer) tooLong() string {
	return "the command line is longer than " + strconv.Itoa(l.limits.Line) + " octets"
}

// Next reports whether the next octet is c, without taking it.
func (l *Lexer) Next(c byte) bool {
	b, ok := l.Peek()
	return ok && b == c
}

// Accept takes the next octet if it is c.
func (l *Lexer) Accept(c byte) bool {
	if l.Next(c) {
		l.take()
		return l.err == nil
	}
	return false
}

// Byte takes the octet c or fails.
func (l *Lexer) Byte(c byte) {
	if b, ok := l.Peek(); ok {
		if b != c {
			l.Syntax("expected %q, found %q", string(rune(c)), string(rune(b)))
			return
		}
		l.take()
	}
}

// SP takes one space.
func (l *Lexer) SP() {
	if b, ok := l.Peek(); ok {
		switch b {
		case ' ':
			l.take()
		case '\r', '\n':
			l.Syntax("an argument is missing")
		default:
			l.Syntax("expected a space, found %q", string(rune(b)))
		}
	}
}

// End takes the end of the line, which ends the command. Blanks before it and
// a bare LF are forgiven.
func (l *Lexer) End() {
	for l.Accept(' ') {
	}
	b, ok := l.Peek()
	if !ok {
		return
	}
	if b == '\r' {
		l.take()
		if b, ok = l.Peek(); !ok {
			return
		}
	}
	if b != '\n' {
		l.Syntax("unexpected text after the command's last argument")
		return
	}
	l.take()
	if l.err == nil {
		l.ended = true
	}
}

// AtEnd reports that only the end of the line is left.
func (l *Lexer) AtEnd() bool { return l.Next('\r') || l.Next('\n') }

// Finish reads and throws away whatever is left of the command, with the
// payload of its literals, so that the next octet starts a command. ErrFlood
// or the connection's error mean that the connection has to be closed.
func (l *Lexer) Finish() error {
	if l.ended {
		return nil
	}
	if l.dead != nil {
		return l.dead
	}
	left := l.limits.Drain
	var tail [24]byte
	for {
		if err := l.drop(&left); err != nil {
			return err
		}
		tail = [24]byte{}
		n := 0
		for {
			if err := l.in.fill(); err != nil {
				return err
			}
			c := l.in.buf[l.in.r]
			l.in.r++
			if left--; left < 0 {
				return ErrFlood
			}
			if c == '\n' {
				break
			}
			copy(tail[:], tail[1:])
			tail[len(tail)-1] = c
			n++
		}
		more, err := literalTail(tail[:])
		if err != nil {
			return err
		}
		if more < 0 {
			l.ended = true
			return nil
		}
		l.skip = more
	}
}

// drop throws away the refused literal ahead.
func (l *Lexer) drop(left *int64) error {
	if *left -= l.skip; *left < 0 {
		return ErrFlood
	}
	for l.skip > 0 {
		if err := l.in.fill(); err != nil {
			return err
		}
		n := min(int64(l.in.Buffered()), l.skip)
		l.in.r += int(n)
		l.skip -= n
	}
	return nil
}

// literalTail says how many octets follow a thrown-away line that ends in a
// non-synchronising literal's header; -1: none do, because there is no header
// or because the client waits for a continuation request that never comes.
// A header that cannot be read is a flood: what follows it is unclear.
func literalTail(tail []byte) (int64, error) {
	n := len(tail)
	if n > 0 && tail[n-1] == '\r' {
		n--
	}
	if n < 2 || tail[n-1] != '}' || tail[n-2] != '+' {
		return -1, nil
	}
	i := n - 2
	for i > 0 && tail[i-1] >= '0' && tail[i-1] <= '9' {
		i--
	}
	if i == n-2 || i == 0 || tail[i-1] != '{' {
		return 0, ErrFlood
	}
	v, err := strconv.ParseInt(string(tail[i:n-2]), 10, 63)
	if err != nil {
		return 0, ErrFlood
	}
	return v, nil
}

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

// Abandon marks the connection as lost for a reason outside the Lexer.
func (l *Lexer) Abandon(err error) { l.err, l.dead = err, err }

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
