package imap

import (
	"bytes"
	"errors"
	"io"
	"net/mail"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"rookery/storage/body"
)

// needle is a string to look for, folded as the text is.
type needle string

func newNeedle(s string) needle { return needle(foldText(s)) }

// foldText is the form in which texts compare: NFC, lower case.
func foldText(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return strings.ToLower(norm.NFC.String(s))
		}
	}
	return strings.ToLower(s)
}

func (n needle) in(s string) bool { return n == "" || strings.Contains(foldText(s), string(n)) }

// matchesContent tests the keys that need more than the row.
func (m *message) matchesContent(k *searchKey) (bool, error) {
	if _, err := m.extract(); err != nil {
		var r *reply
		if errors.As(err, &r) && r.code == "EXPUNGEISSUED" {
			return false, nil
		}
		return false, err
	}
	switch k.op {
	case opSent:
		day, ok := sentDay(m.ex.Envelope.Date)
		return ok && k.from <= day && day < k.to, nil
	case opHeader:
		return fieldMatches(m.ex.Header, k.str, k.needle), nil
	case opText:
		if fieldMatches(m.ex.Header, "", k.needle) {
			return true, nil
		}
	}
	return m.bodyMatches(k.needle)
}

// sentDay is the day of a Date field, without its time and zone (RFC 9051
// 6.4.4), as the unix second the day begins at in UTC.
func sentDay(date string) (int64, bool) {
	t, err := mail.ParseDate(date)
	if err != nil {
		return 0, false
	}
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC).Unix(), true
}

// fieldMatches looks for the needle in the fields of a name, or in all of them
// with their names where name is empty. An empty needle asks whether there is
// such a field.
func fieldMatches(block []byte, name string, n needle) bool {
	for len(block) > 0 {
		end := fieldEnd(block)
		field := block[:end]
		block = block[end:]
		colon := bytes.IndexByte(field, ':')
		if colon < 0 {
			continue
		}
		value := field
		if name != "" {
			if !strings.EqualFold(strings.TrimRight(string(field[:colon]), " \t"), name) {
				continue
			}
			value = field[colon+1:]
		}
		text := unfold(value)
		if n.in(body.DecodeHeader(text)) || n.in(text) {
			return true
		}
	}
	return false
}

// unfold joins a field's lines (RFC 5322 2.2.3).
func unfold(b []byte) string {
	return strings.TrimSpace(strings.NewReplacer("\r\n", "", "\n", "").Replace(string(b)))
}

// bodyMatches looks through the text parts, decoded, and through the headers
// of messages inside the message.
func (m *message) bodyMatches(n needle) (found bool, err error) {
	if n == "" {
		return true, nil
	}
	m.ex.Structure.Walk(func(p *body.Part) bool {
		switch {
		case p.Message != nil:
			found, err = m.nestedHeaderMatches(p.Message.Structure, n)
		case p.Type == "text":
			found, err = m.partMatches(p, n)
		}
		return !found && err == nil
	})
	return found, err
}

func (m *message) nestedHeaderMatches(p *body.Part, n needle) (bool, error) {
	rd, err := m.body()
	if err != nil {
		return false, err
	}
	at := p.Header()
	at.Len = min(at.Len, body.MaxHeader)
	block, err := rd.ReadSection(m.ctx, at)
	return err == nil && fieldMatches(block, "", n), err
}

func (m *message) partMatches(p *body.Part, n needle) (bool, error) {
	rd, err := m.body()
	if err != nil {
		return false, err
	}
	r := rd.Section(m.ctx, p.Body())
	if p.Subtype == "html" {
		return n.inReader(body.PlainText(p, r))
	}
	return n.inReader(body.Text(p, r))
}

// inReader looks for the needle in a stream of UTF-8. Line ends count as
// spaces, so that what was wrapped is found.
func (n needle) inReader(r io.Reader) (bool, error) {
	const chunk = 32 << 10
	buf := make([]byte, 0, chunk+1024+4*len(n))
	want := flatten(string(n))
	for {
		m, err := r.Read(buf[len(buf):min(len(buf)+chunk, cap(buf))])
		buf = buf[:len(buf)+m]
		full := len(buf) == cap(buf) || err != nil
		if full {
			whole := len(buf)
			if err == nil {
				whole = runeBoundary(buf)
			}
			if strings.Contains(flatten(foldText(string(buf[:whole]))), want) {
				return true, nil
			}
			// Keep enough for a match that lies across: folding changes a
			// rune's length by little.
			keep := min(whole, 3*len(n)+64)
			for keep > 0 && keep < whole && !utf8.RuneStart(buf[whole-keep]) {
				keep--
			}
			buf = append(buf[:0], buf[whole-keep:]...)
		}
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// runeBoundary is the length of b without a rune cut off at its end.
func runeBoundary(b []byte) int {
	for i := len(b) - 1; i >= 0 && i > len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			if utf8.FullRune(b[i:]) {
				return len(b)
			}
			return i
		}
	}
	return len(b)
}

// flatten makes each run of white space one space.
func flatten(s string) string { return strings.Join(strings.FieldsFunc(s, isSpace), " ") }

func isSpace(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == '\n' || r == 0xa0 }
