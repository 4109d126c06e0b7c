package dsn

import (
	"fmt"
	"strings"
	"testing"

	"rookery"
)

// What a peer answers stays text: it adds no field, no part and no line that
// reads as ours.
func TestHostileReply(t *testing.T) {
	for _, reply := range []string{
		"550 no\r\nAction: delivered\r\nStatus: 2.0.0\r\n\r\nFinal-Recipient: rfc822; eve@example.net\r\nAction: failed",
		"550 no\nBcc: eve@example.net\n\n--=_x\nContent-Type: text/html\n\n<b>",
		"550 no\r\rAction: relayed\r\n\t\r\n \r\nX: y", "550 \x00\x1b[2J\x7f\u0085Action: expanded\u2028Action: delayed",
		"550 " + strings.Repeat("x", 1<<20), "550 " + strings.Repeat("\xff", 5000), strings.Repeat("550-a\r\n", 100_000),
		"550 \u202egnihtyreve si siht\u202c", strings.Repeat("ộ", 10_000),
	} {
		for _, international := range []bool{false, true} {
			p := compose(t, report(func(r *Report) {
				r.UTF8 = international
				x := &r.Recipients[0]
				x.Reply, x.RemoteMTA, x.TLS, x.Original = reply, reply, reply, "rfc822;"+reply
				r.Envelope.ID, r.MTA = reply, reply
			}))
			if len(p.recipients) != 1 || len(p.recipients[0]["Action"]) != 1 || p.recipients[0].Get("Action") != "failed" ||
				len(p.recipients[0]["Status"]) != 1 || p.recipients[0].Get("Final-Recipient") != "rfc822; bob@example.org" {
				t.Errorf("%.60q: recipients %.300q", reply, p.recipients)
			}
			for name := range p.header {
				if name == "Bcc" || name == "X" {
					t.Errorf("%.60q: the header has %s", reply, name)
				}
			}
			if len(p.text) > 64<<10 || strings.ContainsAny(p.text, "\x00\x1b\x7f\u202e\u2028") {
				t.Errorf("%.60q: %d bytes of text", reply, len(p.text))
			}
			for line := range strings.SplitSeq(p.text, "\n") {
				if strings.HasPrefix(line, "Bcc") || strings.HasPrefix(line, "Action") || strings.HasPrefix(line, "--=") {
					t.Errorf("%.60q: a line of its own: %q", reply, line)
				}
			}
		}
	}
}

// An original cannot end the report, whatever boundary it names.
func TestHostileOriginal(t *testing.T) {
	r := report(nil)
	b, err := Compose(r)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), `boundary="`)
	boundary, _, _ := strings.Cut(rest, `"`)
	p := compose(t, report(func(r *Report) {
		r.Original.Bytes = fmt.Appendf(nil, "Subject: x\r\n\r\n--%s\r\n\r\nforged\r\n--%[1]s--\r\n", boundary)
		r.Original.Size = int64(len(r.Original.Bytes))
	}))
	if !strings.Contains(string(p.last), "forged") {
		t.Errorf("the original came back as %q", p.last)
	}
	many := "References:" + strings.Repeat(" <r@example.com>", 5000) + "\r\nMessage-ID: <" + strings.Repeat("m", 900) + ">\r\n"
	for _, original := range []string{
		"", "\r\n", "no field at all", "Message-ID: <a\r\n b@c>\r\n\r\n", "Message-ID: <\xff@c>\r\n", many,
		"Subject: =?utf-8?q?a=0D=0ABcc:_eve=40example.net?=\r\nMessage-ID: <a@b>\r\nBcc: x@y\r\n\r\n",
		"Subject: a\rBcc: x\n\nbody", strings.Repeat("X: y\r\n", 20_000), "X: " + strings.Repeat("z", 60_000),
		"Subject: nul\x00\r\n\r\nbody",
	} {
		p := compose(t, report(func(r *Report) {
			r.Original.Bytes, r.Original.Size = []byte(original), int64(len(original))
		}))
		if p.header.Get("Bcc") != "" {
			t.Errorf("%.60q: Bcc %q", original, p.header.Get("Bcc"))
		}
		if len(p.last) > MaxWhole+1024 || len(p.header.Get("References")) > 20_000 {
			t.Errorf("%.60q: %d bytes go back, References of %d", original, len(p.last), len(p.header.Get("References")))
		}
	}
}

func FuzzCompose(f *testing.F) {
	f.Add("550 no\r\nAction: x", "utf-8;\\x{E4}@b", "bob", "mx.example.org", []byte(original), true)
	f.Add("\x00", "rfc822;+", "bö\"b", "m\r\nx", []byte("Message-ID: <a@b>\r\n\r\n\xff"), false)
	f.Fuzz(func(t *testing.T, reply, orcpt, local, host string, message []byte, international bool) {
		r := report(func(r *Report) {
			r.UTF8, r.MTA = international, host
			r.Original.Bytes, r.Original.Size = message, int64(len(message))
			r.Recipients[0].Reply, r.Recipients[0].Original, r.Recipients[0].RemoteMTA = reply, orcpt, host
			r.Recipients[0].Final = rookery.Address{Local: local, Domain: "example.org"}
			r.Recipients = append(r.Recipients, Recipient{Final: r.From, Action: Relayed, Reason: reply, TLS: host})
		})
		p := compose(t, r)
		if len(p.recipients) != 2 || len(p.recipients[0]["Action"]) != 1 || len(p.recipients[0]["Final-Recipient"]) != 1 {
			t.Errorf("recipients %q", p.recipients)
		}
		if !isASCII(fmt.Sprint(p.message, p.recipients)) && !international {
			t.Errorf("the machine part is not US-ASCII: %q", p.recipients)
		}
	})
}
