package imap

import (
	"errors"
	"net/mail"
	"slices"
	"strings"
	"time"

	"rookery/storage/message"
)

// searchPlan is what the keys of one SEARCH look for in messages' contents, so
// that each message is read once for all of them.
type searchPlan struct {
	fields []string // the names the HEADER keys ask for, in lower case
	texts  *scanner // the needles of the BODY and TEXT keys
}

// newSearchPlan collects the keys and tells each its slot.
func newSearchPlan(key *searchKey) *searchPlan {
	var p searchPlan
	var needles []needle
	key.walk(func(k *searchKey) error {
		switch k.op {
		case opHeader:
			p.fields, k.slot = slotOf(p.fields, strings.ToLower(k.str))
		case opBody, opText:
			needles, k.slot = slotOf(needles, k.needle)
		}
		return nil
	})
	p.texts = newScanner(needles)
	return &p
}

func slotOf[T comparable](list []T, v T) ([]T, int) {
	if i := slices.Index(list, v); i >= 0 {
		return list, i
	}
	return append(list, v), len(list)
}

// candidate is a message while a SEARCH looks at it.
type candidate struct {
	reading
	plan   *searchPlan
	fields map[string]*fieldText // of the names asked for; nil until needed
	header *fieldText            // all fields; nil until needed
	// scanned: the plan's scanner has looked through the body.
	scanned bool
	sent    *sentDay
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

// matchesContent tests the keys that need more than the row. A message that
// went meanwhile does not match.
func (m *candidate) matchesContent(k *searchKey) (bool, error) {
	if err := m.ctx.Err(); err != nil {
		return false, err
	}
	if _, err := m.extract(); err != nil {
		var r *reply
		if errors.As(err, &r) && r.code == "EXPUNGEISSUED" {
			return false, nil
		}
		return false, err
	}
	switch k.op {
	case opSent:
		if m.sent == nil {
			m.sent = newSentDay(m.ex.Envelope.Date)
		}
		return m.sent.ok && k.from <= m.sent.unix && m.sent.unix < k.to, nil
	case opHeader:
		f, err := m.field(m.plan.fields[k.slot])
		return err == nil && (f.has(k.needle) || m.inAddresses(k)), err
	case opText:
		if m.header == nil {
			f, err := wholeHeader(m.ctx, m.ex.Header)
			if err != nil {
				return false, err
			}
			m.header = f
		}
		if m.header.has(k.needle) {
			return true, nil
		}
	}
	if !m.scanned {
		if err := m.scan(); err != nil {
			return false, err
		}
		m.scanned = true
	}
	return m.plan.texts.found[k.slot], nil
}

// inAddresses looks in the addresses of the envelope, which lack the comments
// and blanks that may stand within them in the field.
func (m *candidate) inAddresses(k *searchKey) bool {
	e := &m.ex.Envelope
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

// field is the text of the fields of a name the plan asks for.
func (m *candidate) field(name string) (*fieldText, error) {
	if m.fields == nil {
		fields := make(map[string]*fieldText, len(m.plan.fields))
		for _, name := range m.plan.fields {
			fields[name] = &fieldText{}
		}
		err := eachField(m.ctx, m.ex.Header, func(name, _, value []byte) {
			if f := fields[string(name)]; f != nil {
				f.add(value)
			}
		})
		if err != nil {
			return nil, err
		}
		m.fields = fields
	}
	return m.fields[name], nil
}

// scan looks through the text parts, decoded, and through the headers of
// messages inside the message, until all the plan's needles are found.
func (m *candidate) scan() (err error) {
	texts := m.plan.texts
	texts.begin()
	m.ex.Structure.Walk(func(p *message.Part) bool {
		if texts.left == 0 {
			return false
		}
		if err = m.ctx.Err(); err != nil {
			return false
		}
		switch {
		case p.Message != nil:
			err = m.scanHeader(p.Message.Structure)
		case p.Type == "text":
			err = m.scanPart(p)
		}
		return err == nil
	})
	return err
}

func (m *candidate) scanHeader(p *message.Part) error {
	rd, err := m.body()
	if err != nil {
		return err
	}
	at := p.Header()
	at.Len = min(at.Len, message.MaxHeader)
	block, err := rd.ReadSection(m.ctx, at)
	if err != nil {
		return err
	}
	return m.plan.texts.header(m.ctx, block)
}

func (m *candidate) scanPart(p *message.Part) error {
	rd, err := m.body()
	if err != nil {
		return err
	}
	r := rd.Section(m.ctx, p.Body())
	if p.Subtype == "html" {
		return m.plan.texts.read(m.ctx, message.PlainText(p, r))
	}
	return m.plan.texts.read(m.ctx, message.Text(p, r))
}
