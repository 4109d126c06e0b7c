package abuse

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

func plain(login, password string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + login + "\x00" + password))
}

const small = "Subject: small\r\n\r\nbody\r\n"

func TestSMTP(t *testing.T) {
	g := attackDev(t)
	me := g.users[0].Login
	for _, a := range []struct {
		name  string
		limit int64
		run   func(t *testing.T)
	}{
		{"a command line of 64 MiB", 24 << 20, func(t *testing.T) {
			c := g.smtp(t)
			endless(c, "NOOP ", 64<<20)
			if said := c.ended(); !strings.Contains(said, "500") {
				t.Errorf("said %.200q", said)
			}
		}},
		{"a line of 64 MiB before EHLO on all ports", 24 << 20, func(t *testing.T) {
			for _, addr := range []string{g.node.SMTP, g.node.Submission} {
				c := g.dial(t, addr)
				c.reply("220")
				endless(c, "EHLO ", 64<<20)
				c.ended()
			}
			c := g.dialTLS(t, g.node.Submissions)
			c.reply("220")
			endless(c, "EHLO ", 64<<20)
			c.ended()
		}},
		{"a DATA line of 64 MiB", 24 << 20, func(t *testing.T) {
			c := g.envelope(t, 0)
			c.ok("DATA", "354")
			endless(c, "x", 64<<20)
			c.send(".\r\n")
			c.reply("552")
			c.ok("NOOP", "250")
		}},
		{"more than the limit, declared", 8 << 20, func(t *testing.T) {
			c := g.smtp(t)
			c.ok("MAIL FROM:<a@example.net> SIZE=99999999", "552")
			c.ok("MAIL FROM:<a@example.net> SIZE=99999999999999999999", "5")
			c.ok("MAIL FROM:<a@example.net> SIZE=-1", "501")
			c.ok("MAIL FROM:<a@example.net> SIZE=1000", "250")
		}},
		{"more than the limit, not declared", 32 << 20, func(t *testing.T) {
			c := g.envelope(t, 0)
			c.ok("DATA", "354")
			line := bytes.Repeat([]byte(strings.Repeat("x", 998)+"\r\n"), 1<<10)
			for range 58 {
				if c.write(line) != nil {
					break
				}
			}
			c.send(".\r\n")
			c.reply("552")
			c.ok("NOOP", "250")
		}},
		{"10,000 recipients", 48 << 20, func(t *testing.T) {
			c := g.smtp(t)
			c.ok("MAIL FROM:<a@example.net>", "250")
			go c.write(bytes.Repeat([]byte("RCPT TO:<"+me+">\r\n"), 10_000))
			codes := map[string]int{}
			for range 10_000 {
				codes[c.must("2", "4")[:3]]++
			}
			if codes["250"] != 1000 || codes["452"] != 9000 {
				t.Errorf("answers: %v", codes)
			}
			c.ok("DATA", "354")
			c.write(stuffed([]byte(small)))
			c.reply("250")
		}},
		{"10,000 unknown recipients", 16 << 20, func(t *testing.T) {
			c := g.smtp(t)
			c.ok("MAIL FROM:<a@example.net>", "250")
			var b bytes.Buffer
			for i := range 10_000 {
				fmt.Fprintf(&b, "RCPT TO:<nobody%d@%s>\r\n", i, me[strings.IndexByte(me, '@')+1:])
			}
			go c.write(b.Bytes())
			said := c.ended()
			if n := strings.Count(said, "550 5.1.1"); n == 0 || n > 200 || !strings.Contains(said, "421") {
				t.Errorf("%d refusals, ends %.200q", n, said[max(0, len(said)-200):])
			}
		}},
		{"plaintext behind STARTTLS", 8 << 20, func(t *testing.T) {
			for _, addr := range []string{g.node.SMTP, g.node.Submission} {
				c := g.dial(t, addr)
				c.reply("220")
				c.ok("EHLO x.example", "250")
				c.send("STARTTLS\r\nEHLO evil.example\r\nMAIL FROM:<evil@example.net>\r\n")
				l, err := c.line()
				if err != nil || !strings.HasPrefix(l, "220") {
					continue
				}
				if err := c.tryTLS(g.tls); err != nil {
					continue
				}
				c.send("RCPT TO:<%s>\r\n", me)
				if l, err := c.line(); err == nil && !strings.HasPrefix(l, "50") {
					t.Errorf("%s: a plaintext command ran under TLS: %q", addr, l)
				}
			}
		}},
		{"BDAT", 32 << 20, func(t *testing.T) {
			c := g.smtp(t)
			c.send("BDAT 5 LAST\r\nhello") // without MAIL and RCPT
			c.reply("5")
			c.inStep("NOOP", "250")
			c = g.smtp(t)
			c.ok("MAIL FROM:<a@example.net>", "250")
			c.send("BDAT 26 LAST\r\nRSET\r\nVRFY evil\r\nHELP xx\r\n")
			c.reply("5")
			c.inStep("NOOP", "250")
			for _, size := range []string{"-1", "99999999999999999999999", "99999999999", "0x10", "+5", "5 LASTER", "", "4294967297"} {
				c = g.envelope(t, 0)
				c.send("BDAT %s\r\n", size)
				l, err := c.line()
				if err == nil && !strings.HasPrefix(l, "5") {
					t.Errorf("BDAT %s: %q", size, l)
				}
				if err == nil {
					c.inStep("NOOP", "250")
				}
			}
			// A chunk abandoned, then another message: never a mixture.
			c = g.envelope(t, 0)
			c.send("BDAT 10\r\n0123456789")
			c.reply("250")
			c.send("RSET\r\nMAIL FROM:<b@example.net>\r\nRCPT TO:<%s>\r\nBDAT 23 LAST\r\nSubject: bdat\r\n\r\nabcdefQUIT\r\n", me)
			for _, code := range []string{"250", "250", "250", "250", "221"} {
				c.reply(code)
			}
			in := g.imap(t, 0)
			in.cmd("s SELECT INBOX", "s OK")
			if found := in.cmd(`f SEARCH BODY 0123456789`, "f OK"); strings.Contains(found, "* SEARCH ") {
				t.Errorf("what was abandoned came with another message: %q", found)
			}
			// A chunk that never comes: cut off by the client.
			c = g.envelope(t, 0)
			c.send("BDAT 40000000\r\nabc")
			c.raw.Close()
		}},
		{"BDAT chunks over the limit", 48 << 20, func(t *testing.T) {
			c := g.envelope(t, 0)
			chunk := append([]byte("BDAT 1048576\r\n"), bytes.Repeat([]byte("0123456789abcd\r\n"), 1<<16)...)
			refused := ""
			for range 60 {
				if c.write(chunk) != nil {
					break
				}
				l, err := c.line()
				if err != nil || l[0] == '5' {
					refused = l
					break
				}
			}
			if !strings.HasPrefix(refused, "552") {
				t.Errorf("refused with %q", refused)
			}
		}},
		{"a million empty BDAT chunks' worth of commands", 16 << 20, func(t *testing.T) {
			c := g.envelope(t, 0)
			go c.write(bytes.Repeat([]byte("BDAT 0\r\n"), 20_000))
			for range 20_000 {
				c.must("250")
			}
			c.ok("BDAT 26 LAST\r\nSubject: zero\r\n\r\n0 0 0 0\r\n", "250")
		}},
		{"NULs and control characters", 16 << 20, func(t *testing.T) {
			for _, l := range []string{
				"\x00\x00\x00", "MAIL FROM:<a\x00b@example.net>", "MAIL FROM:<\"a\x00b\"@example.net>", "MAIL FROM:<a@exam\x00ple.net>",
				"RCPT TO:<\x01@example.test>", "AUTH PLAIN \x00", "MAIL FROM:<a@example.net> ENVID=\x00", "MAIL FROM:<a@example.net> SIZE=\x005",
				"MAIL FROM:<@@@@>", "MAIL FROM:<", "MAIL FROM:<a@example.net> =", "MAIL FROM:<a@[1.2.3.4\r>", "\xff\xfe\xfd",
				"MAIL FROM:<ü@example.net>",
				"MAIL FROM:<" + strings.Repeat("a", 5000) + "@example.net>", "MAIL FROM:<a@" + strings.Repeat("a.", 5000) + "net>",
				"MAIL FROM:<a@example.net>" + strings.Repeat(" X=Y", 1000),
			} {
				c := g.smtp(t)
				c.send(l + "\r\n")
				if said, err := c.line(); err == nil && said[0] != '5' {
					t.Errorf("%.60q answered %q", l, said)
				} else if err == nil {
					c.ok("RSET", "250")
				}
			}
			g.deliver(t, 0, []byte("Subject: nul\r\n\r\na\x00b\r\n"), "554")
		}},
		{"pipelined garbage", 16 << 20, func(t *testing.T) {
			c := g.smtp(t)
			go c.write(bytes.Repeat([]byte("GARBAGE \xff\x00\r\n"), 100_000))
			said := c.ended()
			if n := strings.Count(said, "\n"); n == 0 || n > 200 {
				t.Errorf("%d answers", n)
			}
		}},
		{"commands in the wrong state", 8 << 20, func(t *testing.T) {
			c := g.dial(t, g.node.SMTP)
			c.reply("220")
			for _, l := range []string{"MAIL FROM:<a@example.net>", "RCPT TO:<" + me + ">", "DATA"} {
				c.ok(l, "5")
			}
			c.ok("EHLO x", "250")
			c.ok("DATA", "5")
			c.ok("RCPT TO:<"+me+">", "5")
			c.ok("AUTH PLAIN "+plain(g.users[0].Login, g.users[0].Password), "5")
			c.ok("MAIL FROM:<a@example.net>", "250")
			c.ok("MAIL FROM:<a@example.net>", "5")
			c.ok("DATA", "5")
			s := g.dialTLS(t, g.node.Submissions)
			s.reply("220")
			s.ok("EHLO x", "250")
			s.ok("MAIL FROM:<"+me+">", "530")
			s.ok("STARTTLS", "5")
		}},
		{"smuggling", 16 << 20, func(t *testing.T) {
			evil := "MAIL FROM:<evil@example.net>\r\nRCPT TO:<" + me + ">\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n"
			for _, end := range []string{"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r\r\n.\r\n", "\r\n.\r\r\n",
				"\r\n\x00.\r\n", "\r\n.\x00\r\n", "\n\r.\r\n", "\r\n..\r\n", "\r\n. \r\n"} {
				c := g.envelope(t, 0)
				c.ok("DATA", "354")
				c.send("Subject: outer\r\n\r\nx" + end + evil)
				c.send("QUIT\r\n")
				// One message or none; DATA is never begun a second time.
				if said := c.ended(); strings.Contains(said, "354") {
					t.Errorf("%q ended the message: %q", end, said)
				} else if strings.HasPrefix(said, "250") && strings.Contains(strings.ReplaceAll(end, "\r\n", ""), "\n") {
					t.Errorf("%q was accepted: %s", end, said)
				}
			}
			c := g.imap(t, 0)
			c.cmd("s SELECT INBOX", "s OK")
			if found := c.cmd(`f SEARCH SUBJECT smuggled`, "f OK"); strings.Contains(found, "* SEARCH ") {
				t.Errorf("a message was smuggled in: %q", found)
			}
		}},
		{"AUTH abuse", 16 << 20, func(t *testing.T) {
			for _, response := range []string{
				"!!!", "AAAA", "AGEAYQBhAGE=", strings.Repeat("A", 100_000), "*", plain(strings.Repeat("a", 50_000), "b"),
				plain("*)(uid=*", "x"), plain("", ""), plain(g.users[0].Login, ""),
			} {
				c := g.dialTLS(t, g.node.Submissions)
				c.reply("220")
				c.ok("EHLO x", "250")
				c.ok("AUTH PLAIN", "334")
				c.send(response + "\r\n")
				if l, err := c.line(); err == nil && l[0] != '5' && !strings.HasPrefix(l, "454") {
					t.Errorf("%.40q answered %q", response, l)
				}
			}
		}},
	} {
		t.Run(a.name, func(t *testing.T) { g.under(t, a.limit, func() { a.run(t) }) })
	}
}

// endless sends one line of n bytes, or as much as the server takes.
func endless(c *client, begin string, n int) {
	c.send(begin)
	piece := bytes.Repeat([]byte("x"), 1<<20)
	for ; n > 0; n -= len(piece) {
		if c.write(piece) != nil {
			return
		}
	}
	c.send("\r\n")
}

// TestForgedSender hides a From field that is not the user's where a careless
// check does not look.
func TestForgedSender(t *testing.T) {
	g := attackDev(t)
	forged := "From: " + g.users[1].Login + "\r\n"
	for name, header := range map[string]string{
		"plain":                   forged,
		"second field":            "From: " + g.users[0].Login + "\r\n" + forged,
		"second address":          "From: " + g.users[0].Login + ", " + g.users[1].Login + "\r\n",
		"behind a line of noise":  "no field at all\r\n" + forged,
		"behind mbox's From line": "From nobody Thu Jan  1 00:00:00 1970\r\n" + forged,
		"behind 400 KiB":          strings.Repeat("X-Pad: "+strings.Repeat("p", 900)+"\r\n", 450) + forged,
		"blank before the colon":  "From : " + g.users[1].Login + "\r\n",
		"folded":                  "From:\r\n " + g.users[1].Login + "\r\n",
		"upper case":              "FROM: " + g.users[1].Login + "\r\n",
		"bare LF before it":       "Subject: x\nFrom: " + g.users[1].Login + "\r\n",
		"bare CR before it":       "Subject: x\rFrom: " + g.users[1].Login + "\r\n",
		"NUL in its name":         "Subject: x\r\n\x00" + forged,
		"a blank line of spaces":  "Subject: x\r\n \t\r\n" + forged,
		"an empty name":           ": x\r\n" + forged,
	} {
		t.Run(name, func(t *testing.T) {
			c := g.submission(t, 0)
			c.ok("MAIL FROM:<"+g.users[0].Login+">", "250")
			c.ok("RCPT TO:<"+g.users[2].Login+">", "250")
			c.ok("DATA", "354")
			c.write(stuffed([]byte(header + "\r\nbody\r\n")))
			l, _ := c.line()
			if !strings.HasPrefix(l, "250") {
				return
			}
			i := g.imap(t, 2)
			i.cmd("s SELECT INBOX", "s OK")
			e := i.cmd("f FETCH * ENVELOPE", "f OK")
			local, _, _ := strings.Cut(g.users[1].Login, "@")
			if strings.Contains(e, `"`+local+`"`) {
				t.Errorf("accepted, and readers see the forged sender: %.300s", e)
			}
		})
	}
}
