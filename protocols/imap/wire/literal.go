package wire

import (
	"io"
	"strconv"
	"strings"
)

// Literal is a literal's header (RFC 9051 section 4.3, RFC 7888, RFC 3516).
type Literal struct {
	Size   int64
	Sync   bool // the client waits for a continuation request
	Binary bool // literal8: may hold NUL
}

// LiteralHeader takes "{n}", "{n+}" or "~{n}" with its line end. A literal
// larger than max is refused with a TooBigError; if its octets follow anyway,
// Finish throws them away.
func (l *Lexer) LiteralHeader(max int64) Literal {
	var h Literal
	h.Binary = l.Accept('~')
	l.Byte('{')
	n := l.Digits()
	h.Size, h.Sync = int64(n), !l.eat('+')
	if !l.eat('}') {
		l.Syntax("a literal's size is not closed by a brace")
		return h
	}
	l.eat('\r')
	if !l.eat('\n') {
		l.Syntax("a literal's size is not followed by the end of the line")
		return h
	}
	l.literals--
	switch {
	case l.line < 0:
		l.refuse(h, l.tooLong())
	case l.literals < 0:
		l.refuse(h, "the command has more than "+strconv.Itoa(l.limits.Literals)+" literals")
	case h.Size > max:
		l.refuse(h, "a literal of "+strconv.FormatInt(h.Size, 10)+" octets is larger than the "+
			strconv.FormatInt(max, 10)+" allowed here")
	}
	return h
}

// eat takes c if it is next and never fails for the line's length: once the
// size is known, stopping half-way through a header would lose the octets
// that follow it.
func (l *Lexer) eat(c byte) bool {
	if !l.Next(c) {
		return false
	}
	l.in.r++
	l.line--
	return true
}

func (l *Lexer) refuse(h Literal, why string) {
	l.skipRefused(h)
	l.Fail(&TooBigError{why})
}

// Refuse gives up a literal whose header has been taken, before it is opened.
func (l *Lexer) Refuse(h Literal, err error) {
	l.skipRefused(h)
	l.Fail(err)
}

// skipRefused notes what follows a refused literal: its octets if the client
// does not wait, nothing at all if it does.
func (l *Lexer) skipRefused(h Literal) {
	if h.Sync {
		l.ended = true
		return
	}
	l.skip = h.Size
}

// OpenLiteral asks for the literal and reads it as a stream. The caller reads
// it to its end; what it leaves, Finish throws away.
func (l *Lexer) OpenLiteral(h Literal) io.Reader {
	if l.err == nil && h.Sync {
		if err := l.accept(); err != nil {
			l.err, l.dead = err, err
		}
	}
	if l.err == nil {
		l.skip = h.Size
	}
	return (*literalReader)(l)
}

type literalReader Lexer

func (r *literalReader) Read(p []byte) (int, error) {
	l := (*Lexer)(r)
	if l.skip == 0 {
		return 0, io.EOF
	}
	if l.err != nil {
		return 0, l.err
	}
	if int64(len(p)) > l.skip {
		p = p[:l.skip]
	}
	n, err := l.in.Read(p)
	l.skip -= int64(n)
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		l.err, l.dead = err, err
	}
	return n, err
}

// Line takes the rest of the line as it is and ends the command with it: the
// answer to a SASL challenge, the DONE of IDLE.
func (l *Lexer) Line() string {
	var b strings.Builder
	for {
		c, ok := l.Peek()
		if !ok {
			return ""
		}
		l.take()
		if l.err != nil {
			return ""
		}
		if c == '\n' {
			l.ended = true
			return strings.TrimSuffix(b.String(), "\r")
		}
		b.WriteByte(c)
	}
}

// Fold reports whether an ASCII word equals the upper-case word want.
func Fold(s, want string) bool { return len(s) == len(want) && strings.EqualFold(s, want) }
