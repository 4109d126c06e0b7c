package abuse

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// large is a message of about n bytes that does not compress to nothing.
func large(n int) []byte {
	var b bytes.Buffer
	b.WriteString("Subject: large\r\n\r\n")
	x := uint64(88172645463325252)
	for b.Len() < n {
		for range 9 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			fmt.Fprintf(&b, "%016x", x)
		}
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

func TestFlood(t *testing.T) {
	g := attackDev(t)
	empty(t, g, 0)
	big := large(20 << 20)
	for _, a := range []struct {
		name  string
		limit int64
		run   func(t *testing.T)
	}{
		{"idle connections before sign-in", 64 << 20, func(t *testing.T) {
			const n = 300
			for _, l := range []struct {
				addr string
				tls  bool
				most int64 // bytes a connection
			}{
				{g.node.SMTP, false, 48 << 10}, {g.node.Submissions, true, 72 << 10}, {g.node.IMAP, false, 32 << 10},
				{g.node.IMAPS, true, 56 << 10}, {g.node.POP3, false, 64 << 10},
			} {
				before := g.status(t, "VmRSS")
				var cs []*client
				for range n {
					c := g.dial(t, l.addr)
					if l.tls {
						c.startTLS(g.tls)
					}
					if l, err := c.line(); err != nil || strings.HasPrefix(l, "-ERR") {
						break // enough from one address
					}
					cs = append(cs, c)
				}
				each := (g.status(t, "VmRSS") - before) / int64(len(cs))
				t.Logf("%s: %d connections, %d bytes each", l.addr, len(cs), each)
				if each > l.most {
					t.Errorf("%s: %d bytes a connection, the bound is %d", l.addr, each, l.most)
				}
				for _, c := range cs {
					c.raw.Close()
				}
			}
		}},
		{"clients that say half a thing", 64 << 20, func(t *testing.T) {
			for range 60 {
				g.dial(t, g.node.IMAPS)       // no handshake
				g.dial(t, g.node.Submissions) // no handshake
				g.dial(t, g.node.POP3S)       // no handshake
				c := g.dialTLS(t, g.node.IMAPS)
				c.send("a LOGIN {4096}\r\nabc")
				c = g.dial(t, g.node.SMTP)
				c.send("EHLO x\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<%s>\r\nDATA\r\nhalf a li", g.users[0].Login)
				c = g.dial(t, g.node.SMTP)
				c.send("EHLO x\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<%s>\r\nBDAT 40000000\r\nhalf", g.users[0].Login)
			}
		}},
		{"sign-in by guessing", 16 << 20, func(t *testing.T) {
			right := g.users[0]
			var wg sync.WaitGroup
			wg.Go(func() {
				c := g.dialTLS(t, g.node.IMAPS)
				c.must("* OK")
				began := time.Now()
				c.cmd(fmt.Sprintf("a LOGIN %q wrong", right.Login), "a NO [AUTHENTICATIONFAILED]")
				if d := time.Since(began); d < 500*time.Millisecond {
					t.Errorf("IMAP answers a wrong password after %v", d)
				}
			})
			wg.Go(func() {
				c := g.dialTLS(t, g.node.POP3S)
				c.must("+OK")
				n := 0
				for n < 20 {
					c.send("USER %s\r\nPASS wrong\r\n", right.Login)
					if _, err := c.line(); err != nil {
						break
					}
					if l, err := c.line(); err != nil || !strings.HasPrefix(l, "-ERR [AUTH]") {
						t.Errorf("POP3: %q %v", l, err)
						break
					}
					if n++; n == 2 {
						break
					}
				}
			})
			for _, login := range []string{"*", "*)(uid=*", right.Login + ")(|(uid=*", "", "\x00", strings.Repeat("x", 3000)} {
				wg.Go(func() {
					c := g.dialTLS(t, g.node.Submissions)
					c.reply("220")
					c.ok("EHLO x", "250")
					c.ok("AUTH PLAIN "+plain(login, right.Password), "5")
					c.ok("NOOP", "250")
				})
			}
			wg.Wait()
			// The right password is not locked out.
			fastest := time.Hour
			for range 5 {
				began := time.Now()
				g.imap(t, 0).cmd("z NOOP", "z OK")
				fastest = min(fastest, time.Since(began))
			}
			if fastest > 2*time.Second {
				t.Errorf("the right password takes %v after wrong ones", fastest)
			}
		}},
		{"large messages at once", 160 << 20, func(t *testing.T) {
			var wg sync.WaitGroup
			for range 6 {
				wg.Go(func() {
					c := g.envelope(t, 0)
					c.ok("DATA", "354")
					c.write(stuffed(big))
					c.reply("250")
				})
			}
			wg.Wait()
		}},
		{"large messages that break off", 96 << 20, func(t *testing.T) {
			for range 10 {
				c := g.envelope(t, 0)
				c.ok("DATA", "354")
				c.write(big[:2<<20])
				c.raw.Close()
			}
		}},
		{"readers that do not read", 96 << 20, func(t *testing.T) {
			for range 10 {
				c := g.imap(t, 0)
				c.cmd("s SELECT INBOX", "s OK")
				c.send("f FETCH 1:* (BODY.PEEK[] BODY.PEEK[] BODY.PEEK[TEXT])\r\n")
				c.must("* 1 FETCH")
				p := g.pop3(t, 0)
				p.send("RETR 1\r\nRETR 1\r\nRETR 1\r\n")
				p.must("+OK")
			}
		}},
		{"partial ranges of a large body", 64 << 20, func(t *testing.T) {
			c := g.imap(t, 0)
			c.cmd("s SELECT INBOX", "s OK")
			go func() {
				for i := range 1000 {
					c.send("f%d FETCH 1 BODY.PEEK[]<%d.100>\r\n", i, i*20_000)
				}
			}()
			for i := range 1000 {
				c.until(fmt.Sprintf("f%d ", i), fmt.Sprintf("f%d OK", i))
			}
			var items strings.Builder
			for i := range 60 {
				fmt.Fprintf(&items, " BODY.PEEK[]<%d.1>", i*300_000)
			}
			c.cmd("g FETCH 1:6 ("+items.String()[1:]+")", "g OK")
		}},
		{"searching large bodies", 96 << 20, func(t *testing.T) {
			c := g.imap(t, 0)
			c.cmd("s SELECT INBOX", "s OK")
			c.send("f SEARCH BODY nothing-like-this\r\n")
			c.raw.Close() // gone before the answer
			c = g.imap(t, 0)
			c.cmd("s SELECT INBOX", "s OK")
			c.cmd("f SEARCH 1 BODY nothing-like-this", "f OK")
		}},
	} {
		t.Run(a.name, func(t *testing.T) { g.under(t, a.limit, func() { a.run(t) }) })
	}
}
