package session

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"rookery"
	"rookery/protocols/outbound/dsn"
)

// Envelope is what MAIL and RCPT say. RET, ENVID, NOTIFY and ORCPT are passed on
// where the peer offers DSN (RFC 3461).
type Envelope struct {
	From rookery.Address // zero is the null sender
	// UTF8 says that the message came with SMTPUTF8: an 8-bit header in it needs
	// that from the peer too (RFC 6531 3.6).
	UTF8       bool
	Return     dsn.Return
	ID         string // ENVID, decoded
	Recipients []Recipient
}

// Recipient is one RCPT.
type Recipient struct {
	Address  rookery.Address
	Notify   dsn.Notify
	Original string // ORCPT, "type;address", decoded
}

// Message is what is sent. Open gives it from its beginning, each time; Send
// closes it. Form is what Inspect says of it.
type Message struct {
	Form Form
	Open func() (io.ReadCloser, error)
}

// plan is how a message goes to this peer.
type plan struct {
	mail     string   // the command
	rcpt     []string // one each; "" is not sent
	size     int64    // of the message
	chunks   bool     // BDAT
	pipeline bool
}

// plan decides what is said, or why nothing is.
func (s *Session) plan(e *Envelope, f Form) (plan, error) {
	fail := func(kind rookery.Kind, err error) (plan, error) { return plan{}, rookery.E("smtp message", kind, err) }
	if err := f.err(); err != nil {
		return fail(rookery.KindInvalid, err)
	}
	_, eight := s.Offers("8BITMIME")
	_, utf8 := s.Offers("SMTPUTF8")
	size, sized := s.Offers("SIZE")
	if f.EightBit && !eight {
		return fail(rookery.KindInvalid, ErrEightBit)
	}
	international := !ascii(e.From.Local) || e.UTF8 && f.EightBitHeader
	if international && !utf8 {
		return fail(rookery.KindInvalid, ErrUTF8)
	}
	// A size that is no number, and 0, is no bound (RFC 1870 4).
	if most, err := strconv.ParseInt(size, 10, 64); err == nil && most > 0 && f.Size > most {
		return fail(rookery.KindTooLarge, fmt.Errorf("%w: it has %d octets, the peer takes %d", ErrTooLarge, f.Size, most))
	}
	for _, r := range e.Recipients {
		international = international || utf8 && !ascii(r.Address.Local)
	}
	p := plan{size: f.Size}
	_, p.chunks = s.Offers("CHUNKING")
	_, p.pipeline = s.Offers("PIPELINING")
	_, notify := s.Offers("DSN")
	p.mail = mailLine(e, f, sized, international, notify)
	for _, r := range e.Recipients {
		line := ""
		if utf8 || ascii(r.Address.Local) {
			line = rcptLine(r, international, notify)
		}
		p.rcpt = append(p.rcpt, line)
	}
	return p, nil
}

func mailLine(e *Envelope, f Form, sized, utf8, notify bool) string {
	var b strings.Builder
	b.WriteString("MAIL FROM:" + path(e.From))
	if sized {
		fmt.Fprintf(&b, " SIZE=%d", f.Size)
	}
	if f.EightBit {
		b.WriteString(" BODY=8BITMIME")
	}
	if utf8 {
		b.WriteString(" SMTPUTF8")
	}
	if notify {
		switch e.Return {
		case dsn.ReturnFull:
			b.WriteString(" RET=FULL")
		case dsn.ReturnHeaders:
			b.WriteString(" RET=HDRS")
		}
		if e.ID != "" {
			b.WriteString(" ENVID=" + dsn.EncodeXtext(e.ID))
		}
	}
	return b.String()
}

func rcptLine(r Recipient, utf8, notify bool) string {
	line := "RCPT TO:" + path(r.Address)
	if !notify {
		return line
	}
	if n := r.Notify.String(); n != "" {
		line += " NOTIFY=" + n
	}
	if r.Original != "" {
		line += " ORCPT=" + dsn.OnwardORCPT(r.Original, r.Address, utf8)
	}
	return line
}

func path(a rookery.Address) string {
	if a == (rookery.Address{}) {
		return "<>"
	}
	return "<" + a.String() + ">"
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// check refuses what no session can say.
func (e *Envelope) check() error {
	if len(e.Recipients) == 0 {
		return rookery.E("smtp message", rookery.KindInvalid, errors.New("it has no recipient"))
	}
	for _, a := range append([]Recipient{{Address: e.From}}, e.Recipients...) {
		if strings.ContainsFunc(a.Address.Local+a.Address.Domain, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			return rookery.E("smtp message", rookery.KindInvalid, fmt.Errorf("%q has a control character", a.Address))
		}
	}
	return nil
}
