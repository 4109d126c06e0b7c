package pop3

import (
	"bufio"
	"bytes"
	"errors"
)

// stuffer writes a message as the rest of a multi-line response (RFC 1939 3):
// lines that begin with a dot get another one.
type stuffer struct {
	w *bufio.Writer
	// last holds the end of what was written: 0 at the beginning of a line, 1
	// inside one, 2 after a CR.
	last lineAt
	// body says that the blank line after the header has been written.
	body bool
	// limited says that only lines more lines of the body are wanted.
	limited bool
	lines   int
}

type lineAt uint8

const (
	lineStart lineAt = iota
	lineInside
	lineCR
	lineStartCR // a CR that began its line
)

// errEnough ends a message whose wanted lines have been written.
var errEnough = errors.New("pop3: enough lines")

// Write takes the next bytes of the message.
func (s *stuffer) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if s.limited && s.body && s.lines <= 0 {
			return total - len(p), errEnough
		}
		if s.last == lineStart && p[0] == '.' {
			if err := s.w.WriteByte('.'); err != nil {
				return 0, err
			}
		}
		end := bytes.IndexByte(p, '\n')
		line := p
		if end >= 0 {
			line = p[:end+1]
		}
		if _, err := s.w.Write(line); err != nil {
			return 0, err
		}
		s.advance(line, end >= 0)
		p = p[len(line):]
	}
	return total, nil
}

// advance notes what was written: a line, or a part of one.
func (s *stuffer) advance(line []byte, ended bool) {
	if ended {
		blank := s.last == lineStartCR && len(line) == 1 || s.last == lineStart && (len(line) == 1 || len(line) == 2 && line[0] == '\r')
		if s.body {
			s.lines--
		} else if blank {
			s.body = true
		}
		s.last = lineStart
		return
	}
	switch {
	case line[len(line)-1] != '\r':
		s.last = lineInside
	case len(line) == 1 && s.last == lineStart:
		s.last = lineStartCR
	default:
		s.last = lineCR
	}
}

// finish ends the response: the last line gets its end and, in a TOP, a header
// without the blank line that ends it gets one (RFC 1939 7). A RETR gives the
// message as it is.
func (s *stuffer) finish() {
	if s.last == lineCR || s.last == lineStartCR {
		s.w.WriteString("\n")
		s.advance([]byte("\n"), true)
	} else if s.last == lineInside {
		s.w.WriteString("\r\n")
		s.last = lineStart
	}
	if s.limited && !s.body {
		s.w.WriteString("\r\n")
	}
	s.w.WriteString(".\r\n")
}
