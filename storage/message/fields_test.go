package message

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAddresses(t *testing.T) {
	tests := []struct {
		in   string
		want []Address
	}{
		{"", nil},
		{" , ,", nil},
		{"a@b.c", []Address{{Mailbox: "a", Host: "b.c"}}},
		{"Ann B. Cee <a@b.c>", []Address{{Name: "Ann B. Cee", Mailbox: "a", Host: "b.c"}}},
		{`"Cee, Ann \"x\"" <a@b.c>, d@e`, []Address{{Name: `Cee, Ann "x"`, Mailbox: "a", Host: "b.c"}, {Mailbox: "d", Host: "e"}}},
		{"a@b.c (Ann (the) Cee)", []Address{{Name: "Ann (the) Cee", Mailbox: "a", Host: "b.c"}}},
		{"<@r1,@r2:a@b.c>", []Address{{Route: "@r1,@r2", Mailbox: "a", Host: "b.c"}}},
		{`"a b"@c`, []Address{{Mailbox: "a b", Host: "c"}}},
		{"a . b @ c . d", []Address{{Mailbox: "a.b", Host: "c.d"}}},
		{"a@[192.0.2.1]", []Address{{Mailbox: "a", Host: "[192.0.2.1]"}}},
		{"Team: a@b, Ann <c@d>;, e@f", []Address{{Mark: GroupStart, Mailbox: "Team"}, {Mailbox: "a", Host: "b"},
			{Name: "Ann", Mailbox: "c", Host: "d"}, {Mark: GroupEnd}, {Mailbox: "e", Host: "f"}}},
		{"undisclosed-recipients:;", []Address{{Mark: GroupStart, Mailbox: "undisclosed-recipients"}, {Mark: GroupEnd}}},
		{"Team: a@b", []Address{{Mark: GroupStart, Mailbox: "Team"}, {Mailbox: "a", Host: "b"}, {Mark: GroupEnd}}},
		{"root", []Address{{Mailbox: "root"}}},
		{"no address at all", []Address{{Name: "no address at all"}}},
		{"=?utf-8?Q?Cee,_Ann?= <a@b>", []Address{{Name: "=?utf-8?Q?Cee,_Ann?=", Mailbox: "a", Host: "b"}}},
		{"Ann <a@b", []Address{{Name: "Ann", Mailbox: "a", Host: "b"}}},
		{"a@b <a@b>", []Address{{Name: "a@b", Mailbox: "a", Host: "b"}}},
		{"<>", nil},
		{"Ann <>", []Address{{Name: "Ann"}}},
		{"Ann a@b", []Address{{Name: "Ann", Mailbox: "a", Host: "b"}}},
		{"J\xfcrgen <j@x>", []Address{{Name: "J\xfcrgen", Mailbox: "j", Host: "x"}}},
		{"a@b; c@d", []Address{{Mailbox: "a", Host: "b"}, {Mailbox: "c", Host: "d"}}},
		{"'a@b' <a@b>", []Address{{Name: "'a@b'", Mailbox: "a", Host: "b"}}},
	}
	for _, tt := range tests {
		room := 100
		if diff := cmp.Diff(tt.want, appendAddresses(nil, tt.in, &room)); diff != "" {
			t.Errorf("%q: %s", tt.in, diff)
		}
	}
}

func TestEnvelope(t *testing.T) {
	e := extractString(t, crlf("From: a@b\nDate:  Mon, 1 Jan\n\t2024 \nTO: c@d\nTo: e@f\nSubject: =?utf-8?q?=C3=A4?=\n "+
		"x\x00\xff\nSubject: second\nIn-Reply-To:\nX: y\n\n"))
	want := Envelope{
		Date: "Mon, 1 Jan\t2024", Subject: "=?utf-8?q?=C3=A4?= x\xff", From: []Address{{Mailbox: "a", Host: "b"}},
		To: []Address{{Mailbox: "c", Host: "d"}, {Mailbox: "e", Host: "f"}}, Present: HasDate | HasSubject | HasInReplyTo,
	}
	if diff := cmp.Diff(want, e.Envelope); diff != "" {
		t.Error(diff)
	}
	if e.Envelope.Has(HasMessageID) || !e.Envelope.Has(HasDate|HasSubject) {
		t.Error("Has is wrong")
	}
}

func TestThreading(t *testing.T) {
	e := extractString(t, crlf("Message-ID: <a@b> (x)\nIn-Reply-To: Your message <c@d>\nReferences: <1@x>\n\t<2 @x>junk<3@x\n "+
		"<4@x>\nSubject: Re: [list] =?utf-8?q?Fwd=3A?= Hi  there (fwd)\n\n"))
	if e.MessageID != "a@b" || e.BaseSubject != "Hi there" || !e.IsReply {
		t.Errorf("%q %q %v", e.MessageID, e.BaseSubject, e.IsReply)
	}
	if diff := cmp.Diff([]string{"1@x", "2@x", "4@x"}, e.References); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"c@d"}, e.InReplyTo); diff != "" {
		t.Error(diff)
	}
	e = extractString(t, crlf("Message-ID: a@b\nSubject: RE: Hi THERE\n\n"))
	if e.MessageID != "a@b" {
		t.Errorf("message id %q", e.MessageID)
	}
	ids := messageIDs(strings.Repeat("<x@y>", 10)+"<last@y>", 4)
	if len(ids) != 4 || ids[3] != "last@y" {
		t.Errorf("%v", ids)
	}
}

func TestBaseSubject(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "",
		"Hello":                    "Hello",
		" Re: Hello":               "Hello",
		"RE[2]: re:fw: Hello":      "Hello",
		"[list] Re: Hello":         "Hello",
		"[list] [sub] Hello":       "Hello",
		"[list]":                   "[list]",
		"Re: [list]":               "[list]",
		"[fwd: Re: Hello (fwd)]":   "Hello",
		"[Fwd: [list] Hello] ":     "Hello",
		"Hello (FWD) (fwd)":        "Hello",
		"Re: ":                     "",
		"Reply: x":                 "Reply: x",
		"a\t\r\n  b":               "a b",
		"Regarding [x]: y":         "Regarding [x]: y",
		"Re [x] : Hello":           "Hello",
		"[a[b]] x":                 "[a[b]] x",
		"fwd: FWD : [x] Re: [y] z": "z",
	} {
		if got, _ := baseSubject(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestPartFields(t *testing.T) {
	e := extractString(t, crlf(`Content-Type: TEXT/HTML; Charset="us-ascii" (c); name="a \"b\" =?utf-8?q?=C3=A4?=";
	format=flowed; delsp; boundary=a=b;
Content-Transfer-Encoding: QUOTED-Printable (x)
Content-ID:  <x@y>
Content-Description: some
 thing
Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==
Content-Language: en, de (x)
Content-Location: http://a/
 b
Content-Disposition: ATTACHMENT; filename*0*=utf-8'de'%C3%A4; filename*1=b.c; filename=plain; size=5

x
`))
	want := &Part{
		Type: "text", Subtype: "html",
		Params: [][2]string{{"charset", "us-ascii"}, {"name", `a "b" =?utf-8?q?=C3=A4?=`}, {"format", "flowed"}, {"boundary", "a=b"}},
		ID:     "<x@y>", Description: "some thing", Encoding: "quoted-printable",
		MD5: "Q2hlY2sgSW50ZWdyaXR5IQ==", Location: "http://a/b", Disposition: "attachment",
		DispositionParams: [][2]string{{"filename*0*", "utf-8'de'%C3%A4"}, {"filename*1", "b.c"}, {"filename", "plain"}, {"size", "5"}},
		Language:          []string{"en", "de"},
	}
	got := *e.Structure
	want.Offset, want.HeaderLen, want.BodyOffset, want.BodyLen, want.Lines = 0, got.HeaderLen, got.HeaderLen, 3, 1
	if diff := cmp.Diff(want, &got); diff != "" {
		t.Error(diff)
	}
	if got.Filename() != "äb.c" || got.Param("NAME") != `a "b" ä` || got.Param("none") != "" || !e.HasAttachment {
		t.Errorf("%q %q %v", got.Filename(), got.Param("name"), e.HasAttachment)
	}
	unquoted := extractString(t, crlf("Content-Type: application/pdf; name=my file.pdf\nContent-Disposition: ; filename=x\n\n")).Structure
	if unquoted.Param("name") != "my file.pdf" || unquoted.Disposition != "attachment" {
		t.Errorf("%+v", unquoted)
	}
}

func TestFind(t *testing.T) {
	e := extractString(t, crlf(`Content-Type: multipart/mixed; boundary=a

--a

one
--a
Content-Type: message/rfc822

Subject: in
Content-Type: multipart/mixed; boundary=b

--b

two-one
--b
Content-Type: message/rfc822

Subject: deep

deep
--b--
--a--
`))
	for path, want := range map[string]string{
		"": "multipart", "\x01": "text", "\x02": "message", "\x02\x01": "text", "\x02\x02": "message", "\x02\x02\x01": "text",
		"\x01\x01": "", "\x03": "", "\x00": "", "\x02\x03": "", "\x02\x02\x02": "", "\x02\x02\x01\x01": "",
	} {
		var numbers []uint32
		for _, n := range []byte(path) {
			numbers = append(numbers, uint32(n))
		}
		got := ""
		if p := e.Structure.Find(numbers); p != nil {
			got = p.Type
		}
		if got != want {
			t.Errorf("part %v is %q, want %q", numbers, got, want)
		}
	}
	deep := e.Structure.Find([]uint32{2, 2})
	if deep.Message.Envelope.Subject != "deep" || deep.Message.Structure.Find([]uint32{1}) != deep.Message.Structure {
		t.Errorf("%+v", deep.Message)
	}
}

func TestHasAttachment(t *testing.T) {
	for _, tt := range []struct {
		msg  string
		want bool
	}{
		{"\n\nx", false},
		{"Content-Type: application/pdf\n\nx", true},
		{"Content-Type: multipart/signed; boundary=a\n\n--a\n\nx\n--a\nContent-Type: application/pgp-signature; " +
			"name=s.asc\nContent-Disposition: attachment\n\nx\n--a--", false},
		{"Content-Type: multipart/related; boundary=a\n\n--a\nContent-Type: text/html\n\nx\n--a\nContent-Type: image/png; " +
			"name=x.png\nContent-ID: <x>\n\nx\n--a--", false},
		{"Content-Type: multipart/mixed; boundary=a\n\n--a\n\nx\n--a\nContent-Type: image/png\n\nx\n--a--", true},
		{"Content-Type: multipart/report; boundary=a\n\n--a\n\nx\n--a\nContent-Type: message/delivery-status\n\nx\n--a\nContent-Type: " +
			"text/rfc822-headers\n\nx\n--a--", false},
		{"Content-Type: multipart/mixed; boundary=a\n\n--a\n\nx\n--a\nContent-Type: text/csv; name=x.csv\n\nx\n--a--", true},
		{"Content-Type: multipart/mixed; boundary=a\n\n--a\n\nx\n--a\nContent-Type: message/rfc822\n\nx\n--a--", true},
	} {
		if got := extractString(t, crlf(tt.msg)).HasAttachment; got != tt.want {
			t.Errorf("%q: %v", tt.msg, got)
		}
	}
}
