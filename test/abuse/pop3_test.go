package abuse

import (
	"bytes"
	"strings"
	"testing"
)

func TestPOP3(t *testing.T) {
	g := attackDev(t)
	g.deliver(t, 0, []byte("Subject: one\r\n\r\n.\r\n..\r\nbody\r\n"), "250")
	for _, a := range []struct {
		name  string
		limit int64
		run   func(t *testing.T)
	}{
		{"a line of 64 MiB", 16 << 20, func(t *testing.T) {
			c := g.dial(t, g.node.POP3)
			c.must("+OK")
			endless(c, "USER ", 64<<20)
			c.ended()
			c = g.pop3(t, 0)
			endless(c, "RETR ", 64<<20)
			if said := c.ended(); !strings.HasPrefix(said, "-ERR") {
				t.Errorf("said %.200q", said)
			}
		}},
		{"huge numbers", 8 << 20, func(t *testing.T) {
			c := g.pop3(t, 0)
			for _, n := range []string{"0", "-1", "3", "4294967296", "4294967297", "18446744073709551617", "99999999999999999999999",
				"1.0", "0x1", "+1", "", "1 2", "\x00", "1\x00", "１"} {
				for _, verb := range []string{"RETR", "DELE", "TOP"} {
					cmd := verb + " " + n
					if verb == "TOP" {
						cmd += " 1"
					}
					if n == "1 2" && verb == "TOP" {
						continue
					}
					c.send("%s\r\n", cmd)
					l, err := c.line()
					if err != nil {
						c = g.pop3(t, 0)
						continue
					}
					if !strings.HasPrefix(l, "-ERR") {
						t.Errorf("%q: %q", cmd, l)
					}
				}
				c = g.pop3(t, 0)
			}
			for _, n := range []string{"-1", "99999999999999999999", "x", "4294967296"} {
				c.ok("TOP 1 "+n, "-ERR")
			}
			c.ok("TOP 1 2147483647", "+OK")
		}},
		{"pipelined garbage", 8 << 20, func(t *testing.T) {
			for _, junk := range []string{"\x00\xff\r\n", "\r\n", "\n", "GET / HTTP/1.1\r\n", "RETR\r\n", "PASS x\r\n",
				strings.Repeat("A", 2000) + "\r\n"} {
				c := g.dialTLS(t, g.node.POP3S)
				c.must("+OK")
				go c.write(bytes.Repeat([]byte(junk), 50_000/len(junk)))
				if n := strings.Count(c.ended(), "\n"); n > 100 {
					t.Errorf("%q got %d answers", junk, n)
				}
			}
		}},
		{"commands in the wrong state", 8 << 20, func(t *testing.T) {
			c := g.dial(t, g.node.POP3)
			c.must("+OK")
			for _, cmd := range []string{"STAT", "RETR 1", "USER " + g.users[0].Login, "PASS x", "AUTH PLAIN", "DELE 1", "TOP 1 1", "UIDL"} {
				c.ok(cmd, "-ERR")
			}
			c = g.pop3(t, 0)
			for _, cmd := range []string{"USER x", "PASS y", "STLS", "AUTH PLAIN"} {
				c.ok(cmd, "-ERR")
			}
			c.ok("STAT", "+OK")
		}},
		{"plaintext behind STLS", 8 << 20, func(t *testing.T) {
			c := g.dial(t, g.node.POP3)
			c.must("+OK")
			c.send("STLS\r\nUSER evil\r\nCAPA\r\n")
			l, err := c.line()
			if err == nil && strings.HasPrefix(l, "+OK") && c.tryTLS(g.tls) == nil {
				c.send("NOSUCH\r\n")
				if l, err := c.line(); err == nil && !strings.HasPrefix(l, "-ERR Unknown") {
					t.Errorf("a plaintext command ran under TLS: %q", l)
				}
			}
		}},
		{"DELE flood and a lost connection", 16 << 20, func(t *testing.T) {
			c := g.pop3(t, 0)
			go c.write(bytes.Repeat([]byte("DELE 1\r\nRSET\r\n"), 10_000))
			for range 20_000 {
				c.must("+OK")
			}
			c.ok("DELE 1", "+OK")
			c.raw.Close() // no QUIT: nothing is removed
			if l := g.pop3(t, 0).ok("STAT", "+OK"); strings.HasPrefix(l, "+OK 0") {
				t.Error("a message went without QUIT")
			}
		}},
	} {
		t.Run(a.name, func(t *testing.T) { g.under(t, a.limit, func() { a.run(t) }) })
	}
}
