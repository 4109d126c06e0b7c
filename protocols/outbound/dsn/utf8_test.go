package dsn

import (
	"strings"
	"testing"

	"rookery"
)

// An address that is not US-ASCII (RFC 6533): as it is where the sender can be
// reached with SMTPUTF8, else \x{HEX}.
func TestInternational(t *testing.T) {
	for _, c := range []struct {
		utf8                             bool
		kind, final, original, diagnosed string
	}{
		{true, "message/global-delivery-status", "utf-8; bjørn@example.org", "utf-8; bjørn@example.org", "smtp; 550 Không có"},
		{false, "message/delivery-status", `utf-8; bj\x{F8}rn@example.org`, `utf-8; bj\x{F8}rn@example.org`, `smtp; 550 Kh\x{F4}ng c\x{F3}`},
	} {
		for _, orcpt := range []string{`utf-8;bj\x{F8}rn@example.org`, "utf-8;bjørn@example.org", "rfc822;bjørn@example.org"} {
			p := compose(t, report(func(r *Report) {
				r.UTF8 = c.utf8
				x := &r.Recipients[0]
				x.Final, x.Original, x.Reply = rookery.Address{Local: "bjørn", Domain: "example.org"}, orcpt, "550 Không có"
			}))
			want(t, "kind", p.kinds[1], c.kind)
			want(t, "Final-Recipient", p.recipients[0].Get("Final-Recipient"), c.final)
			want(t, "Original-Recipient", p.recipients[0].Get("Original-Recipient"), c.original)
			want(t, "Diagnostic-Code", p.recipients[0].Get("Diagnostic-Code"), c.diagnosed)
			if !strings.Contains(p.text, "<bjørn@example.org>") || !strings.Contains(p.text, "> 550 Không có") {
				t.Error(p.text)
			}
		}
	}
	// Where all is US-ASCII the report is the one that every program reads.
	p := compose(t, report(func(r *Report) { r.UTF8 = true }))
	want(t, "kind", p.kinds[1], "message/delivery-status")
	p = compose(t, report(func(r *Report) { r.UTF8, r.Envelope.Sender.Local = true, "älice" }))
	want(t, "To", p.header.Get("To"), "<älice@example.com>")
}

func TestReturned(t *testing.T) {
	const utf8Header = "Subject: Grüße\r\nMessage-ID: <a@b>\r\n"
	long := "Subject: x\r\n\r\n" + strings.Repeat("y", 999) + "\r\n"
	for name, c := range map[string]struct {
		original, kind, back, coded string
		change                      func(*Report)
	}{
		"whole":        {original, "message/rfc822", original, "", nil},
		"RET=HDRS":     {original, "text/rfc822-headers", header(original), "", func(r *Report) { r.Envelope.Returns = ReturnHeaders }},
		"larger":       {original, "text/rfc822-headers", header(original), "", func(r *Report) { r.Original.Size = MaxWhole + 1 }},
		"8 bits":       {"Subject: x\r\n\r\nGrüße\r\n", "message/rfc822", "Subject: x\r\n\r\nGrüße\r\n", "8bit", nil},
		"UTF-8 header": {utf8Header + "\r\nx", "text/rfc822-headers", utf8Header, "", nil},
		"UTF-8 way":    {utf8Header + "\r\nx", "message/global", utf8Header + "\r\nx", "8bit", func(r *Report) { r.UTF8 = true }},
		"UTF-8 way, HDRS": {utf8Header, "message/global-headers", utf8Header, "8bit", func(r *Report) {
			r.UTF8, r.Envelope.Returns = true, ReturnHeaders
		}},
		"Latin-1 header": {"Subject: \xe4\r\n\r\nx", "text/rfc822-headers", "Subject: \xe4\r\n", "", func(r *Report) { r.UTF8 = true }},
		"a long line":    {long, "text/rfc822-headers", "Subject: x\r\n", "", nil},
		"a bare LF":      {"Subject: x\r\n\r\na\nb", "text/rfc822-headers", "Subject: x\r\n", "", nil},
		"a bare CR":      {"Subject: x\r\n\r\na\rb", "text/rfc822-headers", "Subject: x\r\n", "", nil},
		"a NUL":          {"Subject: x\r\n\r\na\x00b", "text/rfc822-headers", "Subject: x\r\n", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := compose(t, report(func(r *Report) {
				r.Original.Bytes, r.Original.Size = []byte(c.original), int64(len(c.original))
				if c.change != nil {
					c.change(r)
				}
			}))
			want(t, "kind", p.kinds[2], c.kind)
			want(t, "what goes back", string(p.last), c.back)
			want(t, "Content-Transfer-Encoding", p.header.Get("Content-Transfer-Encoding"), c.coded)
		})
	}
}

func header(message string) string {
	h, _, _ := strings.Cut(message, "\r\n\r\n")
	return h + "\r\n"
}

// A header that is cut ends at a whole field.
func TestHeaderIsCut(t *testing.T) {
	long := strings.Repeat("X-Field: value\r\n folded\r\n", 3000)
	p := compose(t, report(func(r *Report) {
		r.Original.Bytes, r.Original.Size = []byte(long[:MaxWhole]), 1<<20
	}))
	if n := len(p.last); n > maxHeader || n < maxHeader-100 || !strings.HasSuffix(string(p.last), "X-Field: value\r\n folded\r\n") {
		t.Errorf("%d bytes, ending in %q", n, p.last[max(0, n-40):])
	}
}

func TestOnwardORCPT(t *testing.T) {
	bob := rookery.Address{Local: "b+b", Domain: "example.org"}
	bjorn := rookery.Address{Local: "bjørn", Domain: "example.org"}
	for _, c := range []struct {
		original string
		to       rookery.Address
		utf8     bool
		want     string
	}{
		{"", bob, false, "rfc822;b+2Bb@example.org"},
		{"rfc822;Bob Two@x", bob, false, "rfc822;Bob+20Two@x"},
		{"", bjorn, false, `utf-8;bj\x{F8}rn@example.org`},
		{"", bjorn, true, "utf-8;bjørn@example.org"},
		{`utf-8;a\x{2B}\x{F8}@x`, bob, true, `utf-8;a\x{2B}ø@x`},
		{"no type", bob, false, "rfc822;b+2Bb@example.org"},
	} {
		want(t, "ORCPT", OnwardORCPT(c.original, c.to, c.utf8), c.want)
	}
}
