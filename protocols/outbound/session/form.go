package session

import (
	"errors"
	"io"
)

// maxLine is how long a line of a message may be, without its CR LF (RFC 5321
// 4.5.3.1.6, RFC 5322 2.1.1).
const maxLine = 998

// Why a message cannot be sent as it is. Nothing was sent, and the session goes
// on. The first three hold for every peer, the others for this one. The kind is
// KindInvalid, that of ErrTooLarge KindTooLarge.
var (
	ErrLineEnds = errors.New("the message has a CR or LF that is no line end")
	ErrLongLine = errors.New("the message has a line of more than 998 octets")
	ErrNUL      = errors.New("the message has a NUL in it")
	ErrEightBit = errors.New("the message has 8-bit content, and the peer does not offer 8BITMIME")
	ErrUTF8     = errors.New("the address or the header has UTF-8, and the peer does not offer SMTPUTF8")
	ErrTooLarge = errors.New("the message is larger than the peer takes")
)

// Form is what of a message decides how it can be sent.
type Form struct {
	Size int64 // in octets
	// EightBit and EightBitHeader say that it has octets above 127, anywhere or in
	// its header.
	EightBit, EightBitHeader bool
	// LineEnds, LongLine and NUL say that it has what no peer is sent.
	LineEnds, LongLine, NUL bool
}

// Inspect reads a message to its end.
func Inspect(r io.Reader) (Form, error) {
	var s scan
	buf := make([]byte, block)
	for {
		n, err := r.Read(buf)
		s.next(buf[:n])
		if err == io.EOF {
			s.end()
			return s.form, nil
		}
		if err != nil {
			return s.form, err
		}
	}
}

// err is why a message of this form is sent to nobody.
func (f Form) err() error {
	switch {
	case f.LineEnds:
		return ErrLineEnds
	case f.LongLine:
		return ErrLongLine
	case f.NUL:
		return ErrNUL
	}
	return nil
}

// scan finds the form of what passes through it.
type scan struct {
	form   Form
	column int  // octets of the present line
	cr     bool // the last octet was CR
	body   bool // the blank line behind the header has passed
}

func (s *scan) next(p []byte) {
	s.form.Size += int64(len(p))
	for _, c := range p {
		if c == '\n' {
			s.form.LineEnds = s.form.LineEnds || !s.cr
			s.body = s.body || s.column == 0
			s.column, s.cr = 0, false
			continue
		}
		if s.cr { // CR without LF is a part of the line
			s.form.LineEnds = true
			s.column++
		}
		if s.cr = c == '\r'; s.cr {
			continue
		}
		if s.column++; s.column > maxLine {
			s.form.LongLine = true
		}
		if c >= 0x80 {
			s.form.EightBit = true
			s.form.EightBitHeader = s.form.EightBitHeader || !s.body
		}
		s.form.NUL = s.form.NUL || c == 0
	}
}

func (s *scan) end() { s.form.LineEnds = s.form.LineEnds || s.cr }

// open says that the last line has no end yet.
func (s *scan) open() bool { return s.column > 0 }
