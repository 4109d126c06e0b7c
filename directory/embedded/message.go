package embedded

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// maxMessage is the largest request accepted, in bytes; before a bind it is
// maxAnonymous.
const (
	maxMessage   = 4 << 20
	maxAnonymous = 64 << 10
)

// message is one LDAPMessage (RFC 4511 4.1.1).
type message struct {
	id       int64
	op       *ber.Packet
	controls []control
}

// control is one request control (RFC 4511 4.1.11).
type control struct {
	oid      string
	critical bool
	value    []byte
}

var errMessage = errors.New("the message is not an LDAPMessage")

// readMessage reads one message of at most limit bytes; the length is checked
// before anything is allocated for it.
func readMessage(r *bufio.Reader, limit int) (*message, error) {
	head, err := r.Peek(2)
	if err != nil {
		return nil, err
	}
	if head[0] != 0x30 {
		return nil, errMessage
	}
	size, n := int(head[1]), 2
	if size >= 0x80 {
		count := size & 0x7f
		if count < 1 || count > 4 {
			return nil, errMessage
		}
		if head, err = r.Peek(2 + count); err != nil {
			return nil, err
		}
		size, n = 0, 2+count
		for _, b := range head[2:] {
			size = size<<8 | int(b)
		}
	}
	if size > limit {
		return nil, fmt.Errorf("a request of %d bytes is over the limit of %d", size, limit)
	}
	raw := make([]byte, n+size)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, err
	}
	return decodeMessage(raw)
}

func decodeMessage(raw []byte) (m *message, err error) {
	p, err := ber.DecodePacketErr(raw)
	if err != nil {
		return nil, err
	}
	if len(p.Children) < 2 || len(p.Children) > 3 {
		return nil, errMessage
	}
	id, ok := p.Children[0].Value.(int64)
	op := p.Children[1]
	if !ok || id < 0 || op.ClassType != ber.ClassApplication {
		return nil, errMessage
	}
	m = &message{id: id, op: op}
	if len(p.Children) == 3 {
		for _, c := range p.Children[2].Children {
			ctl, err := decodeControl(c)
			if err != nil {
				return nil, err
			}
			m.controls = append(m.controls, ctl)
		}
	}
	return m, nil
}

func decodeControl(p *ber.Packet) (control, error) {
	if len(p.Children) < 1 || len(p.Children) > 3 {
		return control{}, errMessage
	}
	c := control{oid: text(p.Children[0])}
	for _, k := range p.Children[1:] {
		switch k.Tag {
		case ber.TagBoolean:
			b := k.Data.Bytes()
			c.critical = len(b) == 1 && b[0] != 0
		case ber.TagOctetString:
			c.value = k.Data.Bytes()
		default:
			return control{}, errMessage
		}
	}
	return c, nil
}

// refusal is a result other than success (RFC 4511 4.1.9).
type refusal struct {
	code int64
	text string
}

func (r *refusal) Error() string { return r.text }

func refuse(code int64, format string, a ...any) error {
	return &refusal{code, fmt.Sprintf(format, a...)}
}

// resultOf turns an error into a result code and diagnostic text.
func resultOf(err error) (int64, string) {
	var r *refusal
	switch {
	case err == nil:
		return ldap.LDAPResultSuccess, ""
	case errors.As(err, &r):
		return r.code, r.text
	}
	return ldap.LDAPResultOther, err.Error()
}

func envelope(id int64, op *ber.Packet, controls ...*ber.Packet) *ber.Packet {
	p := ber.NewSequence("")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	p.AppendChild(op)
	if len(controls) > 0 {
		list := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "")
		for _, c := range controls {
			list.AppendChild(c)
		}
		p.AppendChild(list)
	}
	return p
}

// result builds the LDAPResult of an operation.
func result(tag ber.Tag, err error) *ber.Packet {
	code, diag := resultOf(err)
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, ""))
	p.AppendChild(octetString(""))
	p.AppendChild(octetString(diag))
	return p
}

func octetString(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}

func number(p *ber.Packet) (int64, bool) {
	n, ok := p.Value.(int64)
	return n, ok
}
