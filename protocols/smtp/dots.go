package smtp

import "bytes"

// dots takes the text of a message out of the lines that follow DATA (RFC 5321
// 4.5.2): a dot that begins a line goes, and a line that is a dot alone ends
// the message. Only CR LF ends a line. It does no I/O: next is given whatever
// has arrived.
type dots struct{ at place }

// place is what the last bytes were. The zero value is the begin of a line.
type place uint8

const (
	atBegin place = iota // behind CR LF
	atDot                // behind a dot that begins a line and is held back
	atDotCR              // behind that dot and CR, both held back
	inLine
	atCR  // behind CR
	atEnd // behind the end of the message
)

var (
	heldCR  = []byte("\r")
	newDot  = []byte("\r\n.")
	newLine = []byte("\r\n")
)

// next takes the next bytes and gives the text at their beginning, in a piece
// as large as possible and often none, and what is left: to be given again, or
// what follows the message when ended. The text is valid as long as p.
func (d *dots) next(p []byte) (text, rest []byte) {
	for len(p) > 0 {
		switch c := p[0]; d.at {
		case atEnd:
			return nil, p
		case inLine:
			return d.line(p)
		case atBegin:
			if c != '.' {
				return d.line(p)
			}
			d.at, p = atDot, p[1:]
		case atDot:
			if c != '\r' {
				return d.line(p)
			}
			d.at, p = atDotCR, p[1:]
		case atDotCR:
			if c != '\n' {
				d.at = atCR
				return heldCR, p
			}
			d.at, p = atEnd, p[1:]
		case atCR:
			if c != '\n' {
				return d.line(p)
			}
			d.at = atBegin
			return p[:1], p[1:]
		}
	}
	return nil, nil
}

// line gives all up to the next line that begins with a dot.
func (d *dots) line(p []byte) (text, rest []byte) {
	if i := bytes.Index(p, newDot); i >= 0 {
		d.at = atDot
		return p[:i+2], p[i+3:]
	}
	switch {
	case bytes.HasSuffix(p, newLine):
		d.at = atBegin
	case p[len(p)-1] == '\r':
		d.at = atCR
	default:
		d.at = inLine
	}
	return p, nil
}

// ended reports whether the end of the message was seen.
func (d *dots) ended() bool { return d.at == atEnd }
