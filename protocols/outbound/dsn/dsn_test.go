package dsn

import (
	"bufio"
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"rookery"
)

var (
	berlin = time.FixedZone("CET", 3600)
	sent   = time.Date(2026, 11, 30, 8, 15, 0, 0, berlin)
	now    = time.Date(2026, 11, 30, 23, 5, 9, 0, berlin)
)

const original = "Received: from laptop by mail.example.com; Mon, 30 Nov 2026 08:15:00 +0100\r\n" +
	"From: Alice <alice@example.com>\r\nTo: bob@example.org\r\n" +
	"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= and numbers\r\nMessage-ID: <<one@example.com>>\r\n" +
	"References: <zero@example.com>\r\nMIME-Version: 1.0\r\n\r\nHello Bob,\r\nthe numbers.\r\n"

func report(change func(*Report)) Report {
	r := Report{
		MTA:       "mail.example.com",
		From:      rookery.Address{Local: "postmaster", Domain: "example.com"},
		MessageID: "<item7.1.failed@example.com>",
		Date:      now,
		Envelope:  Envelope{Sender: rookery.Address{Local: "alice", Domain: "example.com"}, ID: "QQ314159"},
		Original:  Original{Bytes: []byte(original), Size: int64(len(original)), Arrival: sent},
		Recipients: []Recipient{{
			Final:       rookery.Address{Local: "bob", Domain: "example.org"},
			Original:    "rfc822;Bob+lists@example.org",
			Action:      Failed,
			Status:      "5.1.1",
			RemoteMTA:   "mx.example.org",
			Reply:       "550-5.1.1 No such user here.\r\n550 5.1.1 Ask postmaster@example.org",
			TLS:         "TLS 1.3, name of the certificate not verified",
			LastAttempt: now.Add(-9 * time.Second),
		}},
	}
	if change != nil {
		change(&r)
	}
	return r
}

// parsed is a notification as a program reads it.
type parsed struct {
	header     mail.Header
	kinds      []string
	text       string
	message    textproto.MIMEHeader
	recipients []textproto.MIMEHeader
	last       []byte // the third part, decoded
}

// compose makes the notification and reads it back.
func compose(t *testing.T, r Report) parsed {
	t.Helper()
	b, err := Compose(r)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, b)
}

func parse(t *testing.T, b []byte) (p parsed) {
	t.Helper()
	checkLines(t, b)
	m, err := mail.ReadMessage(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	p.header = m.Header
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Fatalf("content type %s %v: %v", kind, params, err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for n := 0; ; n++ {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("part %d: %v\n%s", n, err, b)
		}
		var content io.Reader = part
		if part.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
			content = quotedprintable.NewReader(part)
		}
		text, err := io.ReadAll(content)
		if err != nil {
			t.Fatalf("part %d: %v", n, err)
		}
		kind, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if err != nil {
			t.Fatalf("part %d: %v", n, err)
		}
		p.kinds = append(p.kinds, kind)
		switch n {
		case 0:
			p.text = strings.ReplaceAll(string(text), "\r\n", "\n")
		case 1:
			p.readMachine(t, text)
		case 2:
			p.last = text
		}
	}
	if len(p.kinds) != 3 {
		t.Fatalf("parts %q, want three\n%s", p.kinds, b)
	}
	return p
}

func (p *parsed) readMachine(t *testing.T, text []byte) {
	t.Helper()
	r := textproto.NewReader(bufio.NewReader(bytes.NewReader(append(text, "\r\n\r\n"...))))
	for {
		h, err := r.ReadMIMEHeader()
		if len(h) == 0 {
			return
		}
		if err != nil {
			t.Fatalf("machine part: %v\n%s", err, text)
		}
		if p.message == nil {
			p.message = h
		} else {
			p.recipients = append(p.recipients, h)
		}
	}
}

// checkLines wants lines of at most 998 octets that end in CRLF, and nothing a
// message cannot have.
func checkLines(t *testing.T, b []byte) {
	t.Helper()
	if !bytes.HasSuffix(b, []byte("\r\n")) || !wellFormed(b) {
		t.Fatalf("malformed lines:\n%q", b)
	}
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %q, want %q", what, got, want)
	}
}

func TestCompose(t *testing.T) {
	p := compose(t, report(nil))
	for name, value := range map[string]string{
		"Date":                      "Mon, 30 Nov 2026 23:05:09 +0100",
		"From":                      "Mail Delivery System <postmaster@example.com>",
		"To":                        "<alice@example.com>",
		"Subject":                   "=?utf-8?q?Undeliverable:_Gr=C3=BC=C3=9Fe_and_numbers?=",
		"Message-Id":                "<item7.1.failed@example.com>",
		"In-Reply-To":               "<one@example.com>",
		"References":                "<zero@example.com> <one@example.com>",
		"Auto-Submitted":            "auto-replied",
		"Mime-Version":              "1.0",
		"Content-Transfer-Encoding": "",
	} {
		want(t, name, p.header.Get(name), value)
	}
	want(t, "kinds", strings.Join(p.kinds, " "), "text/plain message/delivery-status message/rfc822")
	want(t, "Original-Envelope-Id", p.message.Get("Original-Envelope-Id"), "QQ314159")
	want(t, "Reporting-MTA", p.message.Get("Reporting-MTA"), "dns; mail.example.com")
	want(t, "Arrival-Date", p.message.Get("Arrival-Date"), "Mon, 30 Nov 2026 08:15:00 +0100")
	if len(p.recipients) != 1 {
		t.Fatalf("recipients %v", p.recipients)
	}
	for name, value := range map[string]string{
		"Original-Recipient": "rfc822; Bob+lists@example.org",
		"Final-Recipient":    "rfc822; bob@example.org",
		"Action":             "failed",
		"Status":             "5.1.1",
		"Remote-MTA":         "dns; mx.example.org",
		"Diagnostic-Code":    "smtp; 550-5.1.1 No such user here. 550 5.1.1 Ask postmaster@example.org",
		"Last-Attempt-Date":  "Mon, 30 Nov 2026 23:05:00 +0100",
		"X-Rookery-TLS":      "TLS 1.3, name of the certificate not verified",
		"Will-Retry-Until":   "",
	} {
		want(t, name, p.recipients[0].Get(name), value)
	}
	if string(p.last) != original {
		t.Errorf("the original came back as %q", p.last)
	}
}

// What a person reads: first in English, then in Vietnamese.
func TestText(t *testing.T) {
	text := compose(t, report(nil)).text
	wanted := []string{
		"mail system at mail.example.com", "Subject: Grüße and numbers", "NOT DELIVERED", "  <bob@example.org>\n",
		"The answer of mx.example.org was:\n      > 550-5.1.1 No such user here.\n      > 550 5.1.1 Ask postmaster@example.org\n",
		"TLS 1.3", "What to do: The address does not exist there.", "<postmaster@example.com>", "\n-----",
		"hệ thống thư điện tử tại mail.example.com", "KHÔNG GỬI ĐƯỢC", "  <bob@example.org>\n", "Máy chủ mx.example.org đã trả lời:\n      > 550",
		"Bạn nên làm gì: Địa chỉ này không tồn tại", "<postmaster@example.com>",
	}
	rest := text
	for _, w := range wanted {
		_, after, ok := strings.Cut(rest, w)
		if !ok {
			t.Fatalf("%q lacks in\n%s", w, text)
		}
		rest = after
	}
	for line := range strings.SplitSeq(text, "\n") {
		if n := len([]rune(line)); n > 78 {
			t.Errorf("a line of %d characters: %q", n, line)
		}
	}
}

// Each language has every phrase, with the same blanks to be filled in.
func TestLanguages(t *testing.T) {
	all := func(l *language) []string {
		phrases := []string{l.intro, l.subject, l.sent, l.messageID, l.original, l.answered, l.someHost, l.reason, l.took,
			l.connection, l.lastAttempt, l.toDo, l.wait, l.waitOpen, l.help, l.time}
		return append(append(phrases, l.heads[:]...), l.advice[:]...)
	}
	en, vi := all(&english), all(&vietnamese)
	for i := range en {
		if en[i] == "" || vi[i] == "" {
			t.Errorf("phrase %d lacks: %q, %q", i, en[i], vi[i])
		}
		for _, blank := range []string{"{host}", "{address}", "{time}"} {
			if strings.Contains(en[i], blank) != strings.Contains(vi[i], blank) {
				t.Errorf("one of %q and %q lacks %s", en[i], vi[i], blank)
			}
		}
	}
}

func TestActions(t *testing.T) {
	until := time.Date(2026, 12, 5, 8, 15, 0, 0, berlin)
	for _, c := range []struct {
		action                     Action
		status, wantStatus         string
		subject, english, vietnams string
	}{
		{Failed, "4.4.7", "4.4.7", "Undeliverable", "could not be reached", "Không kết nối được"},
		{Failed, "nonsense", "5.0.0", "Undeliverable", "text above says why", "cho biết nguyên nhân"},
		{Failed, "2.0.0", "5.0.0", "Undeliverable", "NOT DELIVERED", "KHÔNG GỬI ĐƯỢC"},
		{Delayed, "4.4.1", "4.4.1", "Delayed", "tried until 2026-12-05 08:15 +0100", "cho đến 08:15 +0100, 05/12/2026"},
		{Delivered, "2.1.5", "2.1.5", "Delivered", "filed in the mailbox", "lưu vào hộp thư"},
		{Relayed, "2.1.9", "2.1.9", "Relayed", "sends no confirmation", "không gửi xác nhận"},
		{Expanded, "5.1.1", "2.0.0", "Delivered to a list", "members of", "các thành viên của"},
	} {
		p := compose(t, report(func(r *Report) {
			r.Original.Bytes = []byte(strings.ReplaceAll(original, "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= and numbers\r\n", ""))
			r.Original.Size = int64(len(r.Original.Bytes))
			x := &r.Recipients[0]
			x.Action, x.Status, x.WillRetryUntil = c.action, c.status, until
		}))
		want(t, "Action", p.recipients[0].Get("Action"), c.action.String())
		want(t, "Status", p.recipients[0].Get("Status"), c.wantStatus)
		want(t, "Subject", p.header.Get("Subject"), c.subject)
		if (p.recipients[0].Get("Will-Retry-Until") != "") != (c.action == Delayed) {
			t.Errorf("%s: Will-Retry-Until %q", c.action, p.recipients[0].Get("Will-Retry-Until"))
		}
		if text := strings.Join(strings.Fields(p.text), " "); !strings.Contains(text, c.english) || !strings.Contains(text, c.vietnams) {
			t.Errorf("%s: %q or %q lacks in\n%s", c.action, c.english, c.vietnams, p.text)
		}
		wantKind := "text/rfc822-headers" // RET is about failures alone (RFC 3461 4.3)
		if c.action == Failed {
			wantKind = "message/rfc822"
		}
		want(t, "third part", p.kinds[2], wantKind)
	}
}

// Where no host answered, the reason is ours.
func TestReason(t *testing.T) {
	p := compose(t, report(func(r *Report) {
		x := &r.Recipients[0]
		x.Reply, x.RemoteMTA, x.Reason, x.Status = "", "", "the domain example.org has no mail server", "5.1.2"
	}))
	want(t, "Diagnostic-Code", p.recipients[0].Get("Diagnostic-Code"), "x-rookery; the domain example.org has no mail server")
	want(t, "Remote-MTA", p.recipients[0].Get("Remote-MTA"), "")
	if !strings.Contains(p.text, "Reason: the domain example.org has no mail server") {
		t.Error(p.text)
	}
}

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		kind   rookery.Kind
		change func(*Report)
	}{
		"null sender":   {rookery.KindDenied, func(r *Report) { r.Envelope.Sender = rookery.Address{} }},
		"no recipient":  {rookery.KindInvalid, func(r *Report) { r.Recipients = nil }},
		"too many":      {rookery.KindLimit, func(r *Report) { r.Recipients = make([]Recipient, MaxRecipients+1) }},
		"no date":       {rookery.KindInvalid, func(r *Report) { r.Date = time.Time{} }},
		"no id":         {rookery.KindInvalid, func(r *Report) { r.MessageID = "<>" }},
		"id with a LF":  {rookery.KindInvalid, func(r *Report) { r.MessageID = "a\nBcc: x@example.com" }},
		"no from":       {rookery.KindInvalid, func(r *Report) { r.From = rookery.Address{} }},
		"action":        {rookery.KindInvalid, func(r *Report) { r.Recipients[0].Action = actionEnd }},
		"sender's CRLF": {rookery.KindInvalid, func(r *Report) { r.Envelope.Sender.Local = "a\r\nBcc: b" }},
		"SMTPUTF8":      {rookery.KindInvalid, func(r *Report) { r.Envelope.Sender.Local = "älice" }},
	} {
		if _, err := Compose(report(c.change)); !rookery.Is(err, c.kind) {
			t.Errorf("%s: %v, want kind %s", name, err, c.kind)
		}
	}
}
