package imap

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"rookery/protocols/imap/wire"
	"rookery/storage/body"
	"rookery/storage/keys"
	"rookery/storage/message"
)

// datum is a string, number, NIL or list of the wire.
type datum struct {
	nil_, list bool
	text       string
	items      []datum
}

func readDatum(l *wire.Lexer, depth int) (d datum) {
	switch {
	case depth > 3*message.MaxDepth+10:
		l.Syntax("too deep")
	case l.Accept('('):
		d.list = true
		for l.OK() && !l.Accept(')') {
			l.Accept(' ')
			d.items = append(d.items, readDatum(l, depth+1))
		}
	case l.Next('"') || l.Next('{'):
		d.text = l.String()
	default:
		d.text = l.Atom()
		d.nil_ = d.text == "NIL"
	}
	return d
}

// FuzzStructure extracts any octets as a message: ENVELOPE and BODYSTRUCTURE
// must be well formed, with type, encoding and size in every part.
func FuzzStructure(f *testing.F) {
	f.Add([]byte(hello))
	f.Add([]byte(nested))
	f.Add([]byte("Content-Type: multipart/mixed; boundary=\"\r\n\r\n--\r\n"))
	f.Add([]byte("From: a:b;c@d, \"x\x00\" <@r:y@z>\r\nSubject: \xff\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: " +
		"multipart/x;boundary=b\r\n\r\n--b"))
	pools := wire.NewBuffers()
	f.Fuzz(func(t *testing.T, data []byte) {
		enc, err := body.Encode(context.Background(), bytes.NewReader(data), keys.MessageKey{}, func([]byte) error { return nil })
		if err != nil {
			t.Skip()
		}
		x := enc.Extract
		for _, extended := range []bool{false, true} {
			var out bytes.Buffer
			w := wire.NewWriter(&out, pools, func() {})
			writeEnvelope(w, &x.Envelope)
			w.Byte(' ')
			writeStructure(w, x.Structure, extended)
			w.CRLF().Flush()
			// The lexer takes literals as a client sends them.
			sent := strings.NewReader(out.String())
			l := wire.NewLexer(wire.NewReader(sent, pools, func() error { return nil }), func() error { return nil })
			l.Begin(wire.Limits{Line: 1 << 30, Literal: 1 << 30, Literals: 1 << 30, Drain: 1 << 30})
			envelope := readDatum(l, 0)
			l.SP()
			structure := readDatum(l, 0)
			l.End()
			if l.Err() != nil {
				t.Fatalf("%v in %q", l.Err(), out.String())
			}
			if len(envelope.items) != 10 {
				t.Fatalf("the envelope has %d fields: %q", len(envelope.items), out.String())
			}
			checkStructure(t, structure)
		}
	})
}

func checkStructure(t *testing.T, d datum) {
	t.Helper()
	if !d.list || len(d.items) == 0 {
		t.Fatal("a part is no list")
	}
	if d.items[0].list { // multipart
		i := 0
		for ; i < len(d.items) && d.items[i].list; i++ {
			checkStructure(t, d.items[i])
		}
		if i == len(d.items) || d.items[i].nil_ || d.items[i].text == "" {
			t.Fatal("a multipart has no subtype")
		}
		return
	}
	if len(d.items) < 7 {
		t.Fatalf("a part has %d fields", len(d.items))
	}
	for _, i := range []int{0, 1, 5, 6} {
		if d.items[i].nil_ || d.items[i].list || d.items[i].text == "" {
			t.Fatalf("field %d of a part is missing", i)
		}
	}
	if strings.Trim(d.items[6].text, "0123456789") != "" {
		t.Fatalf("a part's size is %q", d.items[6].text)
	}
}
