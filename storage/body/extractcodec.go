package body

import (
	"encoding/binary"

	"rookery/storage/message"
)

// The serialised extract is a version and then every field in order: numbers as
// varints, strings and lists with their lengths before them. A new field takes
// a new version.

const (
	flagTruncated = 1 << iota
	flagReply
	flagAttachment
)

func appendExtract(b []byte, e *message.Extract) []byte {
	b = binary.AppendUvarint(b, uint64(e.Version))
	b = appendNumber(b, e.Size)
	b = binary.AppendUvarint(b, uint64(len(e.Header)))
	b = append(b, e.Header...)
	var flags uint64
	for i, set := range []bool{e.HeaderTruncated, e.IsReply, e.HasAttachment} {
		if set {
			flags |= 1 << i
		}
	}
	b = binary.AppendUvarint(b, flags)
	b = appendStrings(b, e.Preview, e.MessageID, e.BaseSubject)
	b = appendList(b, e.InReplyTo)
	b = appendList(b, e.References)
	b = appendEnvelope(b, &e.Envelope)
	return appendPart(b, e.Structure, 0)
}

func appendNumber(b []byte, n int64) []byte { return binary.AppendUvarint(b, uint64(max(n, 0))) }

func appendStrings(b []byte, list ...string) []byte {
	for _, s := range list {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

func appendList(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	return appendStrings(b, list...)
}

func appendParams(b []byte, params [][2]string) []byte {
	b = binary.AppendUvarint(b, uint64(len(params)))
	for _, kv := range params {
		b = appendStrings(b, kv[0], kv[1])
	}
	return b
}

func appendEnvelope(b []byte, e *message.Envelope) []byte {
	b = append(b, byte(e.Present))
	b = appendStrings(b, e.Date, e.Subject, e.InReplyTo, e.MessageID)
	for _, list := range [...][]message.Address{e.From, e.Sender, e.ReplyTo, e.To, e.Cc, e.Bcc} {
		b = binary.AppendUvarint(b, uint64(len(list)))
		for _, a := range list {
			b = append(b, byte(a.Mark))
			b = appendStrings(b, a.Name, a.Route, a.Mailbox, a.Host)
		}
	}
	return b
}

// What follows a part.
const (
	partLeaf = iota
	partMessage
	partMultipart
)

// appendPart writes offsets relative to the parent's.
func appendPart(b []byte, p *message.Part, base int64) []byte {
	b = appendStrings(b, p.Type, p.Subtype, p.Encoding, p.ID, p.Description, p.MD5, p.Location, p.Disposition)
	b = appendParams(b, p.Params)
	b = appendParams(b, p.DispositionParams)
	b = appendList(b, p.Language)
	b = appendNumber(b, p.Offset-base)
	b = appendNumber(b, p.HeaderLen)
	b = appendNumber(b, p.BodyLen)
	b = appendNumber(b, p.Lines)
	switch {
	case p.Message != nil:
		b = append(b, partMessage)
		b = appendEnvelope(b, &p.Message.Envelope)
		return appendPart(b, p.Message.Structure, p.Offset)
	case len(p.Parts) > 0:
		b = append(b, partMultipart)
		b = binary.AppendUvarint(b, uint64(len(p.Parts)))
		for _, c := range p.Parts {
			b = appendPart(b, c, p.Offset)
		}
		return b
	}
	return append(b, partLeaf)
}

// extractParser reads strings as parts of one string: opening an extract
// allocates little more than its tree.
type extractParser struct {
	s   string
	bad bool
}

// parseExtract reads a serialised extract. The result shares no memory with it.
func parseExtract(plain []byte) (*message.Extract, bool) {
	e, rest, ok := parseHead(plain)
	if !ok {
		return nil, false
	}
	d := extractParser{s: string(rest)}
	setFlags(e, d.number())
	e.Preview, e.MessageID, e.BaseSubject = d.text(), d.text(), d.text()
	e.InReplyTo, e.References = d.list(), d.list()
	d.envelope(&e.Envelope)
	e.Structure = d.part(0, 0)
	return e, !d.bad && d.s == ""
}

// parseHeader is parseExtract for the fields that OpenHeader gives.
func parseHeader(plain []byte) (*message.Extract, bool) {
	e, rest, ok := parseHead(plain)
	if !ok {
		return nil, false
	}
	flags, n := binary.Uvarint(rest)
	setFlags(e, flags)
	e.IsReply, e.HasAttachment = false, false
	e.Structure = &message.Part{}
	return e, n > 0
}

func setFlags(e *message.Extract, flags uint64) {
	e.HeaderTruncated, e.IsReply, e.HasAttachment = flags&flagTruncated != 0, flags&flagReply != 0, flags&flagAttachment != 0
}

// parseHead reads up to and with the header block, and gives what follows.
func parseHead(plain []byte) (e *message.Extract, rest []byte, ok bool) {
	version, n := binary.Uvarint(plain)
	if n <= 0 || version != message.ExtractVersion {
		return nil, nil, false
	}
	e = &message.Extract{Version: uint32(version)}
	plain = plain[n:]
	size, n := binary.Uvarint(plain)
	length, k := binary.Uvarint(plain[max(n, 0):])
	if n <= 0 || k <= 0 || size > maxPlainSize || length > uint64(len(plain)-n-k) {
		return nil, nil, false
	}
	e.Size = int64(size)
	plain = plain[n+k:]
	e.Header = append(make([]byte, 0, length), plain[:length]...)
	return e, plain[length:], true
}

func (d *extractParser) fail() uint64 {
	d.s, d.bad = "", true
	return 0
}

func (d *extractParser) number() uint64 {
	var v uint64
	for i := 0; i < len(d.s) && i < binary.MaxVarintLen64; i++ {
		c := d.s[i]
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			d.s = d.s[i+1:]
			return v
		}
	}
	return d.fail()
}

// size is a number of bytes of the message.
func (d *extractParser) size() int64 {
	if n := d.number(); n <= maxPlainSize {
		return int64(n)
	}
	return int64(d.fail())
}

// count is a number of things that each take least bytes or more.
func (d *extractParser) count(least int) int {
	if n := d.number(); n <= uint64(len(d.s)/least) {
		return int(n)
	}
	return int(d.fail())
}

func (d *extractParser) byte() byte {
	if d.s == "" {
		return byte(d.fail())
	}
	c := d.s[0]
	d.s = d.s[1:]
	return c
}

func (d *extractParser) text() string {
	n := d.count(1)
	t := d.s[:n]
	d.s = d.s[n:]
	return t
}

func (d *extractParser) list() []string {
	n := d.count(1)
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = d.text()
	}
	return list
}

func (d *extractParser) params() [][2]string {
	n := d.count(2)
	if n == 0 {
		return nil
	}
	list := make([][2]string, n)
	for i := range list {
		list[i] = [2]string{d.text(), d.text()}
	}
	return list
}

func (d *extractParser) envelope(e *message.Envelope) {
	e.Present = message.Fields(d.byte())
	e.Date, e.Subject, e.InReplyTo, e.MessageID = d.text(), d.text(), d.text(), d.text()
	for _, list := range [...]*[]message.Address{&e.From, &e.Sender, &e.ReplyTo, &e.To, &e.Cc, &e.Bcc} {
		n := d.count(5)
		if n == 0 {
			continue
		}
		*list = make([]message.Address, n)
		for i := range *list {
			(*list)[i] = message.Address{Mark: message.Mark(d.byte()), Name: d.text(), Route: d.text(), Mailbox: d.text(), Host: d.text()}
		}
	}
}

func (d *extractParser) part(base int64, depth int) *message.Part {
	p := &message.Part{}
	if depth > 2*message.MaxDepth {
		d.fail()
		return p
	}
	p.Type, p.Subtype, p.Encoding, p.ID = d.text(), d.text(), d.text(), d.text()
	p.Description, p.MD5, p.Location, p.Disposition = d.text(), d.text(), d.text(), d.text()
	p.Params, p.DispositionParams, p.Language = d.params(), d.params(), d.list()
	p.Offset = base + d.size()
	p.HeaderLen = d.size()
	p.BodyOffset = p.Offset + p.HeaderLen
	p.BodyLen, p.Lines = d.size(), d.size()
	switch d.byte() {
	case partLeaf:
	case partMessage:
		p.Message = &message.Enclosed{}
		d.envelope(&p.Message.Envelope)
		p.Message.Structure = d.part(p.Offset, depth+1)
	case partMultipart:
		p.Parts = make([]*message.Part, d.count(16))
		for i := range p.Parts {
			p.Parts[i] = d.part(p.Offset, depth+1)
		}
	default:
		d.fail()
	}
	return p
}
