package wire

import (
	"strconv"
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

// Abandon marks the connection as lost for a reason outside the Lexer.
func (l *Lexer) Abandon(err error) { l.err, l.dead = err, err }
