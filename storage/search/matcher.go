package search

import (
	"context"
	"io"
	"net/mail"
	"slices"
	"strings"
	"time"

	"rookery"
	"rookery/storage/mailbox"
	"rookery/storage/message"
)

// Content is a message as far as a key needs it.
type Content interface {
	// Extract is what is known without reading the body. KindNotFound: the
	// message is gone, and matches no key that asks for its content.
	Extract() (*message.Extract, error)
	// Body opens the body.
	Body() (Reader, error)
}

// Reader reads ranges of a message.
type Reader interface {
	// Section streams a range, cut to the message.
	Section(context.Context, message.Section) io.Reader
	// ReadSection reads a range into memory.
	ReadSection(context.Context, message.Section) ([]byte, error)
}

// Matcher tests messages against a key, one after the other. It reads each of
// them once for all that the key's parts look for.
type Matcher struct {
	key    *Key
	fields []string // the names the HEADER keys ask for, in lower case
	texts  *scanner // the needles of the BODY and TEXT keys
}

// NewMatcher collects what the key looks for and tells each part its slot.
func NewMatcher(key *Key) *Matcher {
	m := &Matcher{key: key}
	var needles []needle
	key.walk(func(k *Key) {
		switch k.op {
		case opHeader:
			m.fields, k.slot = slotOf(m.fields, strings.ToLower(k.str))
		case opBody, opText:
			needles, k.slot = slotOf(needles, k.needle)
		}
	})
	m.texts = newScanner(needles)
	return m
}

func slotOf[T comparable](list []T, v T) ([]T, int) {
	if i := slices.Index(list, v); i >= 0 {
		return list, i
	}
	return append(list, v), len(list)
}

// Match tests one message. The error is the content's, or that of ctx.
func (m *Matcher) Match(ctx context.Context, row *mailbox.Row, content Content) (bool, error) {
	if !m.key.NeedsContent() {
		return m.key.matchesRow(row, nil)
	}
	c := candidate{Matcher: m, ctx: ctx, content: content}
	return m.key.matchesRow(row, c.matches)
}

// candidate is a message while it is tested. It holds the context of one call.
type candidate struct {
	*Matcher
	ctx     context.Context
	content Content

	ex     *message.Extract
	fields map[string]*fieldText // of the names asked for; nil until needed
	header *fieldText            // all fields; nil until needed
	sent   *sentDay
	// scanned: the scanner has looked through the body.
	scanned bool
}

// sentDay is the day of a Date field, without its time and zone (RFC 9051
// 6.4.4), as the unix second the day begins at in UTC.
type sentDay struct {
	unix int64
	ok   bool
}

func newSentDay(date string) *sentDay {
	t, err := mail.ParseDate(date)
	if err != nil {
		return &sentDay{}
	}
	return &sentDay{time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC).Unix(), true}
}

// matches tests the keys that need more than the row. A message that went
// meanwhile does not match.
func (c *candidate) matches(k *Key) (ok bool, err error) {
	if err := c.ctx.Err(); err != nil {
		return false, err
	}
	if c.ex, err = c.content.Extract(); err != nil {
		if rookery.Is(err, rookery.KindNotFound) {
			err = nil
		}
		return false, err
	}
	switch k.op {
	case opSent:
		if c.sent == nil {
			c.sent = newSentDay(c.ex.Envelope.Date)
		}
		return c.sent.ok && k.from <= c.sent.unix && c.sent.unix < k.to, nil
	case opHeader:
		f, err := c.field(c.Matcher.fields[k.slot])
		return err == nil && (f.has(k.needle) || c.inAddresses(k)), err
	case opText:
		if c.header == nil {
			if c.header, err = wholeHeader(c.ctx, c.ex.Header); err != nil {
				return false, err
			}
		}
		if c.header.has(k.needle) {
			return true, nil
		}
	}
	if !c.scanned {
		if err := c.scan(); err != nil {
			return false, err
		}
		c.scanned = true
	}
	return c.texts.found[k.slot], nil
}

// inAddresses looks in the addresses of the envelope, which lack the comments
// and blanks that may stand within them in the field.
func (c *candidate) inAddresses(k *Key) bool {
	e := &c.ex.Envelope
	var in []message.Address
	switch k.str {
	case "FROM":
		in = e.From
	case "TO":
		in = e.To
	case "CC":
		in = e.Cc
	case "BCC":
		in = e.Bcc
	}
	for _, a := range in {
		if strings.Contains(foldText(a.Mailbox+"@"+a.Host), string(k.needle)) {
			return true
		}
	}
	return false
}

// field is the text of the fields of a name that is asked for.
func (c *candidate) field(name string) (*fieldText, error) {
	if c.fields == nil {
		fields := make(map[string]*fieldText, len(c.Matcher.fields))
		for _, name := range c.Matcher.fields {
			fields[name] = &fieldText{}
		}
		err := message.EachField(c.ctx, c.ex.Header, func(name, _, value []byte) {
			if f := fields[string(name)]; f != nil {
				f.add(value)
			}
		})
		if err != nil {
			return nil, err
		}
		c.fields = fields
	}
	return c.fields[name], nil
}

// scan looks through the text parts, decoded, and through the headers of
// messages inside the message, until all needles are found.
func (c *candidate) scan() (err error) {
	c.texts.begin()
	c.ex.Structure.Walk(func(p *message.Part) bool {
		if c.texts.left == 0 {
			return false
		}
		if err = c.ctx.Err(); err != nil {
			return false
		}
		switch {
		case p.Message != nil:
			err = c.scanHeader(p.Message.Structure)
		case p.Type == "text":
			err = c.scanPart(p)
		}
		return err == nil
	})
	return err
}

func (c *candidate) scanHeader(p *message.Part) error {
	rd, err := c.content.Body()
	if err != nil {
		return err
	}
	at := p.Header()
	at.Len = min(at.Len, message.MaxHeader)
	block, err := rd.ReadSection(c.ctx, at)
	if err != nil {
		return err
	}
	return c.texts.header(c.ctx, block)
}

func (c *candidate) scanPart(p *message.Part) error {
	rd, err := c.content.Body()
	if err != nil {
		return err
	}
	r := rd.Section(c.ctx, p.Body())
	if p.Subtype == "html" {
		return c.texts.read(c.ctx, message.PlainText(p, r))
	}
	return c.texts.read(c.ctx, message.Text(p, r))
}
