package message

// frame is an open part. A frame without a boundary whose header is done is a
// leaf, an enclosed message, or a multipart whose delimiters count no more.
type frame struct {
	part      *Part
	env       *Envelope // set for the root and enclosed messages
	digest    bool      // children default to message/rfc822
	boundary  string
	bodyLines int64 // Scanner.lines where the body began
	limit     int   // of its header, in bytes
	inHeader  bool
	preview   bool
}

// push opens a part at the current position, in its header.
func (s *Scanner) push(p *Part, env *Envelope, limit int) *frame {
	p.Offset = s.pos
	f := &frame{part: p, env: env, limit: limit, inHeader: true}
	s.stack = append(s.stack, f)
	s.head = s.head[:0]
	return f
}

func (s *Scanner) top() *frame { return s.stack[len(s.stack)-1] }

// popTo closes the frames above index i, at the line end before the current
// line.
func (s *Scanner) popTo(i int) {
	end := s.lineStart - s.prevEOL
	lines := s.lines
	if s.prevEOL > 0 {
		lines--
	}
	s.closeFrames(i+1, end, lines)
}

// closeFrames ends the frames from index i up at the offset end, before which
// lie so many LFs. Where a delimiter follows a header at once, the line end
// between them is both: it stays with the header of the delimiter's own part,
// and is cut from what that part encloses, which must not be longer than sent.
func (s *Scanner) closeFrames(i int, end, lines int64) {
	if i == len(s.stack) {
		return
	}
	if f := s.top(); f.inHeader {
		s.cutHeader(f)
	}
	end = max(end, s.stack[i].part.BodyOffset)
	for len(s.stack) > i {
		f := s.top()
		p := f.part
		p.cutAt(end)
		if p.BodyLen = end - p.BodyOffset; p.BodyLen > 0 {
			p.Lines = lines - f.bodyLines
		}
		s.finishPart(f)
		s.stack = s.stack[:len(s.stack)-1]
	}
}

// cutAt moves what the part has behind the offset end to it.
func (p *Part) cutAt(end int64) {
	if p.BodyOffset <= end {
		return
	}
	p.Offset, p.BodyOffset = min(p.Offset, end), end
	p.HeaderLen = end - p.Offset
	if p.Message != nil && p.Message.Structure != nil {
		p.Message.Structure.cutAt(end)
	}
}

// cutHeader ends a header that has no blank line at the current line.
func (s *Scanner) cutHeader(f *frame) {
	f.inHeader = false
	f.part.HeaderLen = s.lineStart - f.part.Offset
	f.part.BodyOffset = s.lineStart
	f.bodyLines = s.lines
	s.readHeader(f)
	if f.part.Message != nil && f.part.Message.Structure == nil {
		f.part.Message.Structure = emptyPart(f.part.BodyOffset)
	}
}

// finishPart gives a closed part what a valid structure needs.
func (s *Scanner) finishPart(f *frame) {
	if f.boundary != "" {
		s.boundaries--
	}
	if f.preview {
		s.preview.end(f.part, s.extract)
	}
	p := f.part
	if p.Type == "multipart" && len(p.Parts) == 0 {
		p.Parts = []*Part{emptyPart(p.BodyOffset + p.BodyLen)}
	}
}

// emptyPart stands where the message promises a part and has none.
func emptyPart(at int64) *Part {
	p := &Part{Offset: at, BodyOffset: at}
	p.setDefaults(false)
	return p
}

// endHeader acts on the blank line that ended the top frame's header.
func (s *Scanner) endHeader() {
	f := s.top()
	f.inHeader = false
	p := f.part
	p.HeaderLen = s.pos - p.Offset
	p.BodyOffset = s.pos
	f.bodyLines = s.lines
	s.readHeader(f)
	s.head = s.head[:0]
	switch {
	case p.Type == "multipart":
		b := boundaryOf(p)
		if b != "" && len(b) <= maxBoundary && len(s.stack) < MaxDepth {
			f.boundary, f.digest = b, p.Subtype == "digest"
			s.boundaries++
		}
	case p.Message != nil && len(s.stack) < MaxDepth && identity(p.Encoding):
		p.Message.Structure = &Part{}
		s.push(p.Message.Structure, &p.Message.Envelope, maxPartHeader)
	case p.Message != nil:
		p.Message.Structure = emptyPart(s.pos)
	case p.Type == "text":
		f.preview = s.preview.begin(p)
	}
}

// readHeader parses the header in s.head into the frame's part.
func (s *Scanner) readHeader(f *frame) {
	s.parts++
	text := string(s.head)
	if f == s.root {
		e := s.extract
		e.Header = []byte(text)
		e.HeaderTruncated = int64(len(e.Header)) < f.part.HeaderLen
		s.messageFields(text, f.env)
		e.readThreading(text)
	} else if f.env != nil && s.budget > 0 {
		s.messageFields(text, f.env)
	}
	rich := f == s.root || s.budget > 0
	if f != s.root {
		s.budget -= len(text)
	}
	inDigest := false
	if n := len(s.stack); n > 1 && s.stack[n-1] == f {
		inDigest = s.stack[n-2].digest && f.env == nil
	}
	f.part.readFields(text, rich, inDigest)
	if f.part.isMessage() {
		f.part.Message = &Enclosed{}
	}
}

// identity reports whether content in the encoding can be scanned as it is.
func identity(encoding string) bool { return encoding != "base64" && encoding != "quoted-printable" }
