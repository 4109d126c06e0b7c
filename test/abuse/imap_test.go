package abuse

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func TestIMAP(t *testing.T) {
	g := attackDev(t)
	g.deliver(t, 0, []byte("Subject: one\r\n\r\nbody\r\n"), "250")
	evil := "evil CREATE smuggled\r\n"
	for _, a := range []struct {
		name  string
		limit int64
		run   func(t *testing.T)
	}{
		{"a line of 64 MiB before sign-in", 16 << 20, func(t *testing.T) {
			c := g.dialTLS(t, g.node.IMAPS)
			c.must("* OK")
			endless(c, "a LOGIN ", 64<<20)
			c.ended()
			c = g.dial(t, g.node.IMAP)
			c.must("* OK")
			endless(c, "", 64<<20)
			c.ended()
		}},
		{"a line of 64 MiB after sign-in", 16 << 20, func(t *testing.T) {
			c := g.imap(t, 0)
			endless(c, "a SEARCH SUBJECT ", 64<<20)
			if said := c.ended(); !strings.Contains(said, "BYE") {
				t.Errorf("said %.200q", said)
			}
		}},
		{"a literal of 200 MB", 16 << 20, func(t *testing.T) {
			for _, n := range []string{"209715200", "18446744073709551616", "99999999999999999999999999", "4294967296", "9223372036854775807"} {
				c := g.imap(t, 0)
				c.cmd("a APPEND INBOX {"+n+"}", "a ")
				c.cmd("b NOOP", "b OK")
				c.cmd("a LOGIN {"+n+"}", "a BAD")
				c.cmd("b NOOP", "b OK")
			}
		}},
		{"a refused literal with commands in it", 32 << 20, func(t *testing.T) {
			c := g.imap(t, 0)
			for _, n := range []string{"{209715200+}", "~{209715200+}", "{18446744073709551616+}", "{9223372036854775807+}", "{4294967297+}"} {
				for _, cmd := range []string{"APPEND INBOX ", "REPLACE 1 INBOX ", "SEARCH SUBJECT ", "NOOP ", "XYZZY ", "SELECT ",
					"STATUS INBOX (MESSAGES) "} {
					c := g.imap(t, 0)
					c.send("a " + cmd + n + "\r\n" + strings.Repeat(evil, 40_000/len(evil)) + "\r\nb LOGOUT\r\n")
					if said := c.ended(); strings.Contains(said, "evil") {
						t.Errorf("%s%s: the payload ran: %.200q", cmd, n, said)
					}
				}
			}
			for _, cmd := range []string{
				"a APPEND INBOX {5000+}", "a APPEND nowhere {5000+}", "a XYZZY {5000+}", "a SEARCH SUBJECT {5000+}", "a LOGIN x {5000+}",
				"a APPEND INBOX ~{5000+}",
				"a SEARCH NOT NOT (OR {5000+}", "a FETCH 1 (BODY[HEADER.FIELDS ({5000+}", "a STORE 1 {5000+}", "a {5000+}", "{5000+}",
				"a UID {5000+}", "a ID ({5000+}", "a APPEND INBOX (\\Seen {5000+}",
				"a APPEND INBOX (" + strings.Repeat("x", 200_000) + " {5000+}", "a SEARCH " + strings.Repeat("(", 5000) + " {5000+}",
			} {
				c := g.imap(t, 0)
				c.send(cmd + "\r\n" + strings.Repeat(evil, 227) + strings.Repeat("x", 5000-227*len(evil)) + "\r\nb NOOP\r\nc LOGOUT\r\n")
				if said := c.ended(); strings.Contains(said, "evil") {
					t.Errorf("%.60s: the payload ran: %.200q", cmd, said)
				} else if !strings.Contains(said, "b OK") && !strings.Contains(said, "BYE") {
					t.Errorf("%.60s: neither in step nor closed: %.200q", cmd, said)
				}
			}
			if found := c.cmd(`l LIST "" "*"`, "l OK"); strings.Contains(found, "smuggled") {
				t.Errorf("a refused literal ran as commands: %q", found)
			}
		}},
		{"literals before sign-in", 16 << 20, func(t *testing.T) {
			c := g.dialTLS(t, g.node.IMAPS)
			c.must("* OK")
			piece := []byte("a SEARCH BODY {4096+}\r\n" + strings.Repeat("x", 4096) + "\r\n")
			for range 2400 {
				if c.write(piece) != nil {
					break
				}
			}
			c.ended()
			c = g.dialTLS(t, g.node.IMAPS)
			c.must("* OK")
			for range 2400 {
				if c.write([]byte("a LOGIN {4096+}\r\n"+strings.Repeat("x", 4096)+" {4096+}\r\n"+strings.Repeat("x", 4096)+"\r\n")) != nil {
					break
				}
			}
			c.ended()
		}},
		{"deep SEARCH", 32 << 20, func(t *testing.T) {
			c := g.imap(t, 0)
			c.cmd("s SELECT INBOX", "s OK")
			for _, key := range []string{
				strings.Repeat("(", 100_000/2) + "ALL" + strings.Repeat(")", 100_000/2), strings.Repeat("NOT ", 30_000) + "ALL",
				strings.Repeat("OR ALL ", 18_000) + "ALL", strings.Repeat("OR ", 30_000) + "ALL", strings.Repeat("ALL ", 30_000) + "ALL",
				strings.Repeat("(", 120_000), strings.Repeat("OR NOT (", 15_000), strings.Repeat("FUZZY ", 20_000) + "ALL",
				strings.Repeat("BODY x ", 15_000) + "ALL", strings.Repeat("HEADER x y ", 10_000) + "ALL", strings.Repeat(")", 1000),
			} {
				c.cmd("a SEARCH "+key, "a ")
				c.cmd("b NOOP", "b OK")
			}
			c.cmd("c SEARCH "+strings.Repeat("(", 30)+"ALL"+strings.Repeat(")", 30), "c OK")
		}},
		{"sequence sets with 100,000 ranges", 48 << 20, func(t *testing.T) {
			c := g.imap(t, 0)
			c.cmd("s SELECT INBOX", "s OK")
			var set strings.Builder
			for i := range 100_000 {
				fmt.Fprintf(&set, "%d:%d,", 2*i+1, 4294967295-i)
			}
			c.cmd("a UID FETCH "+set.String()+"1 FLAGS", "a BAD") // too long to skip
			c.ended()
			c = g.imap(t, 0)
			c.cmd("s SELECT INBOX", "s OK")
			full := strings.TrimSuffix(strings.Repeat("1:*,", 30_000), ",")
			for _, cmd := range []string{"UID FETCH %s (FLAGS UID)", "FETCH %s FLAGS", "UID STORE %s FLAGS.SILENT ()",
				"UID COPY %s Archive", "SEARCH UID %s", "SEARCH %[1]s UID 1", "UID EXPUNGE %s",
				"SEARCH RETURN (PARTIAL 1:4294967295) UID %s", "SEARCH RETURN (SAVE) %s"} {
				c.cmd("a "+fmt.Sprintf(cmd, full), "a ")
				c.cmd("b NOOP", "b OK")
			}
			for _, bad := range []string{"0", "4294967296", "1:", ":1", "1,,2", ",", "1:2:3", "-1", "*:*:*", "99999999999999999999",
				"1:4294967295", "*:4294967295", "$", "$,1"} {
				c.cmd("a FETCH "+bad+" FLAGS", "a ")
				c.cmd("a UID FETCH "+bad+" FLAGS", "a ")
				c.cmd("b NOOP", "b OK")
			}
		}},
		{"LIST patterns built to explode", 16 << 20, func(t *testing.T) {
			c := g.imap(t, 0)
			c.cmd("m CREATE "+strings.Repeat("a", 200)+"/"+strings.Repeat("a", 200), "m OK")
			for _, p := range []string{strings.Repeat("*a", 500) + "b", strings.Repeat("%a", 500) + "b", strings.Repeat("*%", 500) + "b",
				strings.Repeat("*", 1000), strings.Repeat("*a%", 330) + "/b"} {
				c.cmd(`a LIST "" "`+p+`"`, "a OK")
			}
			var many strings.Builder
			for i := range 100 {
				fmt.Fprintf(&many, "%sb%d ", strings.Repeat("*a", 450), i)
			}
			c.cmd(`a LIST "" (`+strings.TrimSpace(many.String())+")", "a NO [LIMIT]")
			c.cmd(`a LIST "" "`+strings.Repeat("*a", 30_000)+`"`, "a ")
			c.cmd(`a LIST (`+strings.Repeat("SUBSCRIBED ", 5000)+`REMOTE) "" "*" RETURN (`+strings.Repeat("CHILDREN ", 5000)+`SUBSCRIBED)`, "a ")
			c.cmd("b NOOP", "b OK")
		}},
		{"bad names", 16 << 20, func(t *testing.T) {
			c := g.imap(t, 0)
			for _, n := range []string{
				`"&"`, `"&AAAA"`, `"&&&-"`, `"&2AA-"`, `"&AGE-"`, `"&IL4"`, `"&-&-&-&"`, `"&Jjo!"`, `"&U,BTFw-&ZeVnLIqe-"`, `"&AAA-"`,
				`"&AAo-"`, "\"a\x01b\"", "\"a\x7fb\"", "\"\xff\xfe\"", "\"\xc3\"",
				"{3+}\r\na\x00b", "{3+}\r\na\rb", "{3+}\r\na\nb", `""`, `"/"`, `"//"`, `"a//b"`, `"/a"`, `".."`, `"../../etc/passwd"`,
				`"INBOX/"`, `"a*b"`, `"a%b"`,
				`"` + strings.Repeat("x", 256) + `"`, `"` + strings.Repeat("x", 50_000) + `"`, `"` + strings.Repeat("x/", 30_000) + `x"`,
				`"&` + strings.Repeat("A", 30_000) + `-"`, `"&IC4-"`,
			} {
				for _, verb := range []string{"CREATE", "SELECT", "DELETE", "SUBSCRIBE", "STATUS %s (MESSAGES)", "RENAME INBOX",
					"RENAME %s b", `LIST ""`, `LIST %s "*"`, "GETQUOTAROOT", "UNSUBSCRIBE"} {
					cmd := verb + " " + n
					if strings.Contains(verb, "%s") {
						cmd = fmt.Sprintf(verb, n)
					}
					c = g.steady(t, c, 0)
					c.send("a %s\r\n", cmd)
					for {
						l, err := c.line()
						if err != nil {
							t.Errorf("%.80q closed the connection", cmd)
							c = g.imap(t, 0)
							break
						}
						if strings.HasPrefix(l, "* BYE") {
							c = g.imap(t, 0)
							break
						}
						if strings.HasPrefix(l, "a ") {
							if strings.Contains(l, "SERVERBUG") {
								t.Errorf("%.80q: %.200s", cmd, l)
							}
							break
						}
					}
				}
			}
			for l := range strings.Lines(c.cmd(`l LIST "" "*"`, "l OK")) {
				if strings.ContainsAny(strings.TrimRight(l, "\n"), "\x00\x01\x7f\r") || !ascii(l) {
					t.Errorf("LIST gives %q", l)
				}
			}
		}},
		{"commands in the wrong state", 8 << 20, func(t *testing.T) {
			for _, cmd := range []string{"SELECT INBOX", "FETCH 1 ALL", "UID FETCH 1 ALL", "APPEND INBOX {5}", "IDLE", "STORE 1 FLAGS x",
				"CREATE evil", "EXPUNGE", "LOGIN a b", "AUTHENTICATE PLAIN", "ENABLE CONDSTORE", "UNSELECT", "CLOSE"} {
				c := g.dial(t, g.node.IMAP)
				c.must("* OK")
				c.send("a %s\r\n", cmd)
				l := c.must("a ")
				if strings.HasPrefix(l, "a OK") {
					t.Errorf("%s in clear before sign-in: %s", cmd, l)
				}
				c.cmd("b NOOP", "b OK")
			}
			c := g.imap(t, 0)
			for _, cmd := range []string{"LOGIN a b", "AUTHENTICATE PLAIN", "STARTTLS", "FETCH 1 FLAGS", "EXPUNGE", "SEARCH ALL", "DONE",
				"UID", "UID UID FETCH 1 FLAGS", "UID NOOP", "IDLE x", "COPY 1 INBOX", "MOVE 1 INBOX", "CLOSE"} {
				c.cmd("a "+cmd, "a BAD")
				c.cmd("b NOOP", "b OK")
			}
			g.deliver(t, 0, []byte(small), "250")
			c.cmd("s EXAMINE INBOX", "s OK")
			for _, cmd := range []string{`STORE 1 +FLAGS (\Deleted)`, "EXPUNGE", "MOVE 1 Archive", "UID EXPUNGE 1:*"} {
				c.send("a %s\r\n", cmd)
				if said := c.until("a ", "a "); strings.Contains(said, "a OK") && cmd != "EXPUNGE" {
					t.Errorf("%s ran under EXAMINE: %q", cmd, said)
				}
			}
			c.cmd("x CLOSE", "x OK")
			if said := c.cmd("y STATUS INBOX (MESSAGES)", "y OK"); !strings.Contains(said, "MESSAGES ") || strings.Contains(said, "MESSAGES 0") {
				t.Errorf("EXAMINE let a message go: %q", said)
			}
		}},
		{"plaintext behind STARTTLS", 8 << 20, func(t *testing.T) {
			c := g.dial(t, g.node.IMAP)
			c.must("* OK")
			c.send("a STARTTLS\r\nevil NOOP\r\n")
			l, err := c.line()
			if err == nil && strings.HasPrefix(l, "a OK") && c.tryTLS(g.tls) == nil {
				c.send("b NOOP\r\n")
				if l, _ := c.line(); strings.HasPrefix(l, "evil") {
					t.Errorf("a plaintext command ran under TLS: %s", l)
				}
			}
		}},
		{"pipelined garbage", 16 << 20, func(t *testing.T) {
			for _, junk := range []string{"\x00\x00\xff\r\n", "\r\n", "\n", "a\r\n", "a \r\n", "* BAD\r\n", "a NOOP \x00\r\n",
				"a {0+}\r\n", "+ \r\n", "\"\r\n", "a FETCH\r\n", "GET / HTTP/1.1\r\n"} {
				c := g.imap(t, 0)
				go c.write(bytes.Repeat([]byte(junk), 600_000/len(junk)))
				if said := c.ended(); strings.Count(said, "\n") > 100 && !strings.Contains(junk, "NOOP") {
					t.Errorf("%q got %d answers", junk, strings.Count(said, "\n"))
				}
			}
		}},
		{"FETCH items built to cost", 48 << 20, func(t *testing.T) {
			c := g.imap(t, 0)
			c.cmd("s SELECT INBOX", "s OK")
			for _, items := range []string{
				"(" + strings.Repeat("FLAGS ", 20_000) + "UID)", "BODY[" + strings.Repeat("1.", 60_000) + "1]",
				"BODY[HEADER.FIELDS (" + strings.Repeat("x ", 60_000) + "y)]", "BODY[]<0.99999999999>",
				"BODY[]<4294967295.4294967295>", "BODY[]<4294967296.1>", "BODY[]<0.0>", "BODY[]<-1.5>", "BODY[0]", "BODY[4294967295]",
				"BODY[99999999999999]", "BODY[1.MIME.1]", "BODY[TEXT.1]", "BINARY[1]<1.4294967295>",
				"BINARY.SIZE[1.1.1.1]", "BODY[HEADER.FIELDS ()]", "BODY[HEADER.FIELDS ({2000000+}", strings.Repeat("(", 1000),
				"(BODY[] BODY[] " + strings.Repeat("BODY.PEEK[] ", 50) + "UID)",
			} {
				c = g.steady(t, c, 0)
				c.cmd("s SELECT INBOX", "s OK")
				c.send("a FETCH 1:* %s\r\n", items)
				for {
					l, err := c.line()
					if err != nil || strings.HasPrefix(l, "a ") {
						break
					}
				}
			}
		}},
		{"keyword flood", 32 << 20, func(t *testing.T) {
			g.deliver(t, 0, []byte(small), "250")
			c := g.imap(t, 0)
			c.cmd("s SELECT INBOX", "s OK")
			refused := false
			for i := range 50 {
				var k strings.Builder
				for j := range 20 {
					fmt.Fprintf(&k, " kw%d-%d", i, j)
				}
				c.send("a STORE 1 +FLAGS.SILENT (%s)\r\n", k.String()[1:])
				refused = refused || !strings.Contains(c.until("a ", "a "), "a OK")
			}
			if !refused {
				t.Error("1,000 keywords were taken")
			}
			for _, k := range []string{strings.Repeat("k", 100_000), "(" + strings.Repeat("k ", 50_000) + "k)", `\Weird`, `\*`,
				"(\\Recent)", "a\x01b", "]", "{5+}\r\nabcde", "\xff"} {
				c = g.steady(t, c, 0)
				c.cmd("s SELECT INBOX", "s OK")
				c.cmd("a STORE 1 +FLAGS "+k, "a ")
			}
			c.cmd("b FETCH 1 FLAGS", "b OK")
		}},
		{"mailbox flood", 48 << 20, func(t *testing.T) {
			c := g.imap(t, 1)
			name := strings.Repeat("n", 255)
			made := 0
			for i := range 40 {
				c.send("a CREATE \"%s\"\r\n", strings.TrimSuffix(strings.Repeat(name+"/", i+1), "/"))
				if strings.Contains(c.until("a ", "a "), "a OK") {
					made++
				}
			}
			var b bytes.Buffer
			for i := range 1000 {
				fmt.Fprintf(&b, "a CREATE \"flood/%s%d\"\r\n", name[:200], i)
			}
			go c.write(b.Bytes())
			for range 1000 {
				c.until("a ", "a ")
			}
			n := strings.Count(c.cmd(`l LIST "" "*" RETURN (STATUS (MESSAGES))`, "l OK"), "* LIST")
			t.Logf("%d deep, %d mailboxes", made, n)
		}},
		{"APPEND dates", 8 << 20, func(t *testing.T) {
			c := g.imap(t, 1)
			for _, d := range []string{"01-Jan-0001 00:00:00 +0000", "31-Dec-9999 23:59:59 +0000", "01-Jan-1970 00:00:00 +0000",
				"01-Jan-1969 23:59:59 -0000", "32-Jan-2020 00:00:00 +0000", "29-Feb-2021 00:00:00 +0000",
				" 1-Jan-2020 00:00:00 +9999", "01-Jan-2020 24:61:61 +0000", "01-Jan-99999 00:00:00 +0000", "01-XXX-2020 00:00:00 +0000",
				strings.Repeat("9", 1000), "", "01-Jan-2500 00:00:00 +0000", "01-Jan-1970 00:00:00 +2359"} {
				c.send("a APPEND Drafts \"%s\" {25+}\r\nSubject: date\r\n\r\nabcdefgh\r\n", d)
				l := c.until("a ", "a ")
				c.cmd("b NOOP", "b OK")
				t.Logf("%.40q: %.100s", d, strings.TrimSpace(l))
			}
			c.cmd("s SELECT Drafts", "s OK")
			for l := range strings.Lines(c.cmd("f FETCH 1:* INTERNALDATE", "f OK")) {
				if strings.Contains(l, "INTERNALDATE") && !internalDate.MatchString(l) {
					t.Errorf("INTERNALDATE is malformed: %q", l)
				}
			}
			c.cmd("f SEARCH SINCE 1-Jan-9999 BEFORE 1-Jan-0001 ON 31-Dec-9999", "f ")
			c.cmd("f SEARCH YOUNGER 4294967295 OLDER 4294967295", "f ")
			c.cmd("f NOOP", "f OK")
		}},
		{"odd APPENDs", 48 << 20, func(t *testing.T) {
			c := g.imap(t, 1)
			for _, m := range []string{"\x00", "\x00\x00\r\n\x00", "\r", "\n", "\r\n", "\r\n\r\n", ".", "no header at all",
				strings.Repeat("\r", 100_000), strings.Repeat("\n", 100_000), strings.Repeat("\x00", 100_000), strings.Repeat(":\r\n", 30_000)} {
				c.send("a APPEND Junk\\ Email {1}\r\n")
				c.until("a ", "a BAD")
				c.send("a APPEND \"Junk Email\" ~{%d}\r\n", len(m))
				c.must("+")
				c.send("%s", m+"\r\n")
				c.until("a ", "a ")
			}
			c.cmd("s SELECT \"Junk Email\"", "s OK")
			c.cmd("f FETCH 1:* (ENVELOPE BODYSTRUCTURE BODY[HEADER] BODY[1] BINARY[1] RFC822.SIZE)", "f OK")
		}},
	} {
		t.Run(a.name, func(t *testing.T) { g.under(t, a.limit, func() { a.run(t) }) })
	}
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// steady gives c where it still answers, else a new connection: many errors in
// a row end a session.
func (g *target) steady(t *testing.T, c *client, user int) *client {
	t.Helper()
	if c.write([]byte("steady NOOP\r\n")) == nil {
		for {
			l, err := c.line()
			if err != nil {
				break
			}
			if strings.HasPrefix(l, "steady OK") {
				return c
			}
		}
	}
	return g.imap(t, user)
}

var internalDate = regexp.MustCompile(`INTERNALDATE "[ 0-3]\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d [+-]\d{4}"`)
