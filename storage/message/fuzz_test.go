package message

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"rookery/storage/message/decode"
	"rookery/storage/message/messagetest"
)

func FuzzExtract(f *testing.F) {
	f.Add(messagetest.Sample(2 << 10))
	for _, s := range []string{
		"", "\r\n", "a: b", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b--\r\n",
		"Content-Type: multipart/digest; boundary=\"b c\"\r\n\r\n--b c\r\n\r\nTo: g: a@b, c;\r\n\r\nx\r\n--b c--",
		"Content-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--b\r\n--b--\r\n\r\n--b",
		"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=bb\n\n--bb\n\n--b--\n",
		"From: <@a,@b:c@d>\r\nTo: \"q\\\"\" <e@[1.2.3.4]> (c), f (g)\r\nContent-Disposition: attachment; filename*0*=utf-8''%41; " +
			"filename*1=b\r\n\r\n",
		"Content-Type: text/html; charset=utf-7\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p>+AGE- =3D &amp; =\r\n<style>x</style>y",
		"Content-Type: text/plain; charset=iso-2022-jp\r\nContent-Transfer-Encoding: base64\r\n\r\nGyRCJCIbKEI=\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		e := extractString(t, string(msg))
		if len(msg) < 4096 {
			inPieces(t, string(msg), e)
		}
		e.Structure.Walk(func(p *Part) bool {
			p.Filename()
			raw := msg[p.BodyOffset : p.BodyOffset+p.BodyLen]
			decode.DecodedSize(p.Encoding, bytes.NewReader(raw))
			preview(PlainText(p, bytes.NewReader(raw)))
			return true
		})
		var path []uint32
		findAll(t, e.Structure, path, 0)
	})
}

// findAll wants Find to reach every part by its number.
func findAll(t *testing.T, root *Part, path []uint32, depth int) {
	p := root.Find(path)
	if p == nil {
		t.Fatalf("no part %v", path)
	}
	if depth > 5 {
		return
	}
	inner := p
	if p.Message != nil {
		inner = p.Message.Structure
		if len(path) == 0 {
			return // the root is a message: its part 1 is that message
		}
	}
	for i := range inner.Parts {
		findAll(t, root, append(path[:len(path):len(path)], uint32(i+1)), depth+1)
	}
}

func FuzzDecodeHeader(f *testing.F) {
	for _, s := range []string{"plain", "=?utf-8?q?a=C3=A4?= =?utf-8?q?b?=", "=?iso-2022-jp?B?GyRCJCIbKEI=?=", "=?x?q?a?=",
		"=?utf-8?b?w6?= =?utf-8?b?Q=?=", "\xe4", "=?utf-7?q?+AOQ-?=", "=?utf-8*de?q?a?="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d := DecodeHeader(s); !utf8.ValidString(d) {
			t.Errorf("%q gives %q", s, d)
		}
		base, _ := baseSubject(s)
		if again, _ := baseSubject(base); len(base) < maxSubject && again != base {
			t.Errorf("base subject %q of %q has base subject %q", base, s, again)
		}
		room := 100
		for _, a := range appendAddresses(nil, unfold(s), &room) {
			if strings.ContainsAny(a.Name+a.Route+a.Mailbox+a.Host, "\r\n\x00") {
				t.Errorf("%q gives %+v", s, a)
			}
		}
		messageIDs(s, 3)
		text, params := splitParams(unfold(s))
		param(params, "a")
		if got := token(text); len(got) > len(text) {
			t.Errorf("token of %q grew to %q", text, got)
		}
	})
}
