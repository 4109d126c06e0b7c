package message

import (
	"bytes"
	"sync"
)

// Scanner takes a message in pieces and finds its structure. It works line by
// line in headers and from one possible delimiter line to the next in bodies,
// and remembers of a body only what a preview needs.
//
// Every byte belongs to exactly one place: a delimiter line and the line end
// before it belong to the multipart (RFC 2046 5.1.1), all else to the
// innermost open part.
type Scanner struct {
	pos   int64 // bytes taken so far
	lines int64 // LFs among them
	prev  byte  // the last byte taken

	lineStart int64  // where the current line begins
	line      []byte // the beginning of the current line, when it spans pieces
	atStart   bool   // nothing of the current line was taken yet
	maybe     bool   // in a body: line may yet be a delimiter
	prevEOL   int64  // length of the line end before lineStart

	stack      []*frame
	boundaries int    // frames on the stack that have one
	head       []byte // the header being read
	parts      int
	budget     int // bytes of part headers still kept
	addresses  int // addresses still kept

	root    *frame
	extract *Extract
	preview previewer
}

const (
	// maxPartHeader bounds the bytes parsed of a part's header.
	maxPartHeader = 64 << 10
	// maxBoundary bounds the boundaries looked for; RFC 2046 allows 70.
	maxBoundary = 998
	// maxDelimiter bounds a delimiter line with its padding.
	maxDelimiter = maxBoundary + 256
	// partBudget bounds the bytes parsed of all part headers together; beyond
	// it parts keep their type and boundary only.
	partBudget = 2 << 20
)

var scanners = sync.Pool{New: func() any { return new(Scanner) }}

func NewScanner() *Scanner {
	s := scanners.Get().(*Scanner)
	*s = Scanner{
		line: s.line[:0], head: s.head[:0], stack: s.stack[:0], preview: s.preview.reset(),
		atStart: true, budget: partBudget, addresses: MaxAddresses, extract: &Extract{Version: ExtractVersion},
	}
	s.root = s.push(&Part{}, &s.extract.Envelope, MaxHeader)
	s.extract.Structure = s.root.part
	return s
}

// Close gives the scanner's memory back.
func (s *Scanner) Close() {
	if cap(s.head) > maxPartHeader || cap(s.line) > maxPartHeader {
		return // grown by a monster: let it go
	}
	clear(s.stack[:cap(s.stack)])
	s.extract, s.root = nil, nil
	scanners.Put(s)
}

// Write takes the next piece of the message. It never fails.
func (s *Scanner) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if s.top().inHeader {
			p = p[s.header(p):]
		} else {
			p = p[s.body(p):]
		}
	}
	return n, nil
}

// take moves over bytes that end no line or exactly one, at their end.
func (s *Scanner) take(p []byte) {
	if len(p) > 0 {
		s.prev = p[len(p)-1]
		s.pos += int64(len(p))
	}
}

// endLine notes that a line has ended at the current position.
func (s *Scanner) endLine(eol int64) {
	s.lines++
	s.lineStart, s.prevEOL = s.pos, eol
	s.line, s.atStart, s.maybe = s.line[:0], true, false
}

// eolLen is the length of the line end of a line that ends in LF.
func eolLen(line []byte) int64 {
	if n := len(line); n > 1 && line[n-2] == '\r' {
		return 2
	}
	return 1
}

// header takes one line, or the beginning of one, of the top frame's header.
func (s *Scanner) header(p []byte) int {
	i := bytes.IndexByte(p, '\n')
	if i < 0 {
		s.holdHeader(p)
		s.take(p)
		s.atStart = false
		return len(p)
	}
	line := p[:i+1]
	var eol int64
	switch {
	case i > 0:
		eol = eolLen(line)
	case s.prev == '\r' && !s.atStart:
		eol = 2
	default:
		eol = 1
	}
	length := s.pos - s.lineStart + int64(len(line))
	if len(s.line) > 0 {
		s.holdHeader(line)
		line = s.line
	}
	s.prev = '\n'
	s.pos += int64(i + 1)
	if s.boundaries > 0 && length <= maxDelimiter && s.delimiter(line, eol) {
		return i + 1
	}
	f := s.top()
	s.head = append(s.head, line[:min(len(line), f.limit-len(s.head))]...)
	s.endLine(eol)
	if length == eol {
		s.endHeader()
	}
	return i + 1
}

// holdHeader keeps the beginning of a header line that spans pieces: as much
// as the header has room for, and at least what a delimiter may have.
func (s *Scanner) holdHeader(p []byte) {
	room := max(s.top().limit-len(s.head), maxDelimiter) - len(s.line)
	s.line = append(s.line, p[:min(len(p), max(room, 0))]...)
}

// body takes bytes of the innermost body up to, or of, a line that may be a
// delimiter.
func (s *Scanner) body(p []byte) int {
	if s.boundaries == 0 {
		s.content(p)
		return len(p)
	}
	if s.atStart && p[0] == '-' && (len(p) == 1 || p[1] == '-') {
		s.atStart, s.maybe = false, true
	}
	if s.maybe {
		return s.candidate(p)
	}
	n := len(p)
	if i := bytes.Index(p, newlineDashes); i >= 0 {
		n = i + 1
	} else if n > 1 && p[n-1] == '-' && p[n-2] == '\n' {
		n-- // the second dash may be in the next piece
	}
	s.content(p[:n])
	return n
}

var newlineDashes = []byte("\n--")

// candidate takes more of a line that begins like a delimiter.
func (s *Scanner) candidate(p []byte) int {
	i := bytes.IndexByte(p, '\n')
	whole := i >= 0
	n := i + 1
	if !whole {
		n = len(p)
	}
	if len(s.line)+n > maxDelimiter {
		// Too long for one. Hand over what was held, then go on as content.
		s.maybe = false
		s.held()
		s.content(p[:n])
		return n
	}
	if !whole {
		s.line = append(s.line, p...)
		s.take(p)
		return n
	}
	line := p[:n]
	if len(s.line) > 0 {
		s.line = append(s.line, line...)
		line = s.line
	}
	eol := eolLen(line)
	s.take(p[:n])
	if s.delimiter(line, eol) {
		return n
	}
	s.preview.write(line)
	s.endLine(eol)
	return n
}

// held gives a held line, already counted in pos, to the body it belongs to.
func (s *Scanner) held() {
	s.preview.write(s.line)
	s.line = s.line[:0]
}

// content takes bytes that are surely the innermost body's.
func (s *Scanner) content(p []byte) {
	if len(p) == 0 {
		return
	}
	s.preview.write(p)
	n := int64(bytes.Count(p, newline))
	last := len(p) - 1
	before := s.prev
	if last > 0 {
		before = p[last-1]
	}
	s.take(p)
	s.atStart = false
	if p[last] != '\n' {
		s.lines += n
		return
	}
	s.lines += n - 1
	eol := int64(1)
	if before == '\r' {
		eol = 2
	}
	s.endLine(eol)
}

var newline = []byte{'\n'}

// delimiter looks whether line, ended by eol bytes and already taken, is a
// delimiter of an open multipart, and acts on it.
func (s *Scanner) delimiter(line []byte, eol int64) bool {
	if len(line) < 3 || line[0] != '-' || line[1] != '-' {
		return false
	}
	text := bytes.TrimRight(line[2:], " \t\r\n")
	closing := -1 // a frame whose last delimiter has something behind it
	for i := len(s.stack) - 1; i >= 0; i-- {
		f := s.stack[i]
		if f.boundary == "" || len(text) < len(f.boundary) || string(text[:len(f.boundary)]) != f.boundary {
			continue
		}
		switch rest := text[len(f.boundary):]; {
		case len(rest) == 0:
			return s.openPart(i, eol)
		case string(rest) == "--":
			return s.closePart(i, eol)
		case rest[0] == '-' && len(rest) > 2 && rest[1] == '-' && closing < 0:
			closing = i
		}
	}
	// "--boundary--</html>" ends a multipart for everybody, unless it is the
	// delimiter of another.
	return closing >= 0 && s.closePart(closing, eol)
}

// openPart acts on a delimiter of the multipart at index i of the stack. Beyond
// MaxParts delimiters are content.
func (s *Scanner) openPart(i int, eol int64) bool {
	if s.parts >= MaxParts {
		return false
	}
	s.popTo(i)
	s.endLine(eol)
	child := &Part{}
	f := s.stack[i]
	f.part.Parts = append(f.part.Parts, child)
	s.push(child, nil, maxPartHeader)
	return true
}

// closePart acts on the last delimiter of the multipart at index i.
func (s *Scanner) closePart(i int, eol int64) bool {
	s.popTo(i)
	s.stack[i].boundary = ""
	s.boundaries--
	s.endLine(eol)
	return true
}

// Finish ends the message and gives what was found.
func (s *Scanner) Finish() *Extract {
	for {
		f := s.top()
		if f.inHeader && s.pos > s.lineStart {
			s.endOfHeader()
		} else if s.maybe && s.pos > s.lineStart {
			line := s.line
			s.maybe = false
			if !s.delimiter(line, 0) {
				s.held()
				break
			}
			s.lines-- // endLine counted a line end that is not there
		} else {
			break
		}
	}
	s.closeFrames(0, s.pos, s.lines)
	e := s.extract
	e.Size = s.pos
	e.HasAttachment = hasAttachment(e.Structure, nil)
	e.Preview = s.preview.text()
	return e
}

// endOfHeader ends a last line that lies in a header and lacks its line end.
func (s *Scanner) endOfHeader() {
	line := s.line
	if s.boundaries > 0 && s.pos-s.lineStart <= maxDelimiter && s.delimiter(line, 0) {
		s.lines--
		return
	}
	f := s.top()
	s.head = append(s.head, line[:min(len(line), max(f.limit-len(s.head), 0))]...)
	s.line = s.line[:0]
	s.lineStart = s.pos
}
