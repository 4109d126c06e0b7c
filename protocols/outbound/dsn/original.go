package dsn

import (
	"bytes"
	"mime/quotedprintable"
	"unicode/utf8"

	"rookery/storage/message"
)

// part is a part of the report: its own header fields and its content.
type part struct {
	header  fields
	content []byte
	eight   bool // it has octets above 127
}

// header is the original's header block without the blank line behind it, at
// most maxHeader bytes of it, ending at a whole field.
func (o *Original) header() []byte {
	b := o.Bytes[:min(len(o.Bytes), MaxWhole)]
	end, whole := headerEnd(b)
	if b = b[:end]; len(b) <= maxHeader && (whole || int64(end) >= o.Size) {
		return b
	}
	b = b[:min(len(b), maxHeader)]
	for i := len(b) - 1; i > 0; i-- {
		if b[i-1] == '\n' && b[i] != ' ' && b[i] != '\t' {
			return b[:i]
		}
	}
	return nil
}

// headerEnd is the length of the header block without the blank line that ends
// it, and whether there is one.
func headerEnd(b []byte) (end int, blank bool) {
	for end < len(b) {
		rest := b[end:]
		if rest[0] == '\n' || bytes.HasPrefix(rest, []byte("\r\n")) {
			return end, true
		}
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			return len(b), false
		}
		end += i + 1
	}
	return end, false
}

// facts are what the report says of the original, out of its header.
type facts struct {
	subject    string
	messageID  string
	references []string
}

func readFacts(header []byte) facts {
	s := message.NewScanner()
	defer s.Close()
	s.Write(header)
	e := s.Finish()
	return facts{
		subject:    cut(printable(message.DecodeHeader(cut(e.Envelope.Subject, 4<<10))), 200),
		messageID:  e.MessageID,
		references: e.References,
	}
}

// returned makes the part with the original: whole where a failed one is asked
// back and can be enclosed as it is, else its header.
func (r *Report) returned(header []byte) part {
	if r.wantsWhole() && wellFormed(r.Original.Bytes) {
		block, eight := r.Original.Bytes, !isASCII(string(r.Original.Bytes))
		switch {
		case isASCII(string(header)):
			return enclosed("message/rfc822", block, eight)
		case r.UTF8 && utf8.Valid(header):
			return enclosed("message/global", block, true)
		}
	}
	return r.headerPart(header)
}

func (r *Report) wantsWhole() bool {
	o := &r.Original
	if r.Envelope.Returns == ReturnHeaders || o.Size > MaxWhole || int64(len(o.Bytes)) != o.Size {
		return false
	}
	for i := range r.Recipients {
		if r.Recipients[i].Action == Failed {
			return true
		}
	}
	return false
}

// enclosed is a part that goes as it is.
func enclosed(kind string, content []byte, eight bool) part {
	p := part{content: content, eight: eight}
	p.header.add("Content-Description", "Undelivered message")
	p.header.add("Content-Type", kind)
	if eight {
		p.header.add("Content-Transfer-Encoding", "8bit")
	}
	return p
}

// headerPart is the header alone: as it is where it may, else quoted-printable,
// which shows in every reader and needs no extension of SMTP.
func (r *Report) headerPart(header []byte) (p part) {
	p.header.add("Content-Description", "Header of the message")
	switch ascii := isASCII(string(header)); {
	case wellFormed(header) && ascii:
		p.header.add("Content-Type", "text/rfc822-headers")
		p.content = header
		return p
	case wellFormed(header) && r.UTF8 && utf8.Valid(header):
		p.header.add("Content-Type", "message/global-headers")
		p.header.add("Content-Transfer-Encoding", "8bit")
		p.content, p.eight = header, true
		return p
	case utf8.Valid(header):
		p.header.add("Content-Type", "text/rfc822-headers; charset=utf-8")
	default:
		p.header.add("Content-Type", "text/rfc822-headers; charset=unknown-8bit")
	}
	p.header.add("Content-Transfer-Encoding", "quoted-printable")
	p.content = quoted(header)
	return p
}

// wellFormed says whether content may go as it is: lines of at most 998 octets
// that end in CRLF, no CR or LF alone and no NUL (RFC 5322 2.3, RFC 2045 2.8).
func wellFormed(b []byte) bool {
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		line := b
		if i >= 0 {
			if i == 0 || b[i-1] != '\r' {
				return false
			}
			line, b = b[:i-1], b[i+1:]
		} else {
			b = nil
		}
		if len(line) > 998 || bytes.ContainsAny(line, "\r\x00") {
			return false
		}
	}
	return true
}

// quoted encodes text as quoted-printable. A CR or LF that stands alone becomes
// a line end.
func quoted(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	text = bytes.ReplaceAll(text, []byte("\r"), []byte("\n"))
	var b bytes.Buffer
	w := quotedprintable.NewWriter(&b)
	w.Write(bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))) // a bytes.Buffer takes everything
	w.Close()
	return b.Bytes()
}
