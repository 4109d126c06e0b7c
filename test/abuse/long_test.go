package abuse

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rookery/test/harness"
)

// TestLongCommands has commands that cost as much computing as one line of
// input can ask for. What is over the bounds is refused; the costliest that is
// not ends soon, and does not keep the node from stopping.
func TestLongCommands(t *testing.T) {
	const mailboxes, soon = 300, time.Minute
	patterns := func(n int) string {
		return `LIST "" (` + strings.TrimSpace(strings.Repeat(strings.Repeat("*a", 400)+"*b* ", n)) + ")"
	}
	search := func(message, n int, key string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "NOT %s x%d ", key, i)
		}
		return fmt.Sprintf("SEARCH %d %sALL", message, b.String())
	}
	d := harness.StartDev(t, t.TempDir())
	g := &target{node: d.Node(), tls: d.TLS(t), users: d.Facts.Users, pid: d.Node().PID}
	empty(t, g, 0)
	g.deliver(t, 0, []byte(strings.Repeat("A:b\r\n", 200_000)+"\r\nbody\r\n"), "250")
	g.deliver(t, 0, large(20<<20), "250")
	c := g.imap(t, 0)
	var create strings.Builder
	for i := range mailboxes {
		fmt.Fprintf(&create, "m CREATE %s%d\r\n", strings.Repeat(strings.Repeat("a", 240)+"/", 3), 10_000+i)
	}
	go c.write([]byte(create.String()))
	for range mailboxes {
		c.until("m ", "m OK")
	}
	c.cmd("s SELECT INBOX", "s OK")
	for _, a := range []struct{ name, command, want string }{
		{"100 patterns", patterns(100), "a NO [LIMIT]"},
		{"5 patterns", patterns(5), "a OK"},
		{"a long reference", `LIST "` + strings.Repeat("*a", 20_000) + `" (a b c d e)`, "a NO [LIMIT]"},
		{"LSUB of a long reference", `LSUB "` + strings.Repeat("*a", 20_000) + `" *`, "a NO [LIMIT]"},
		{"999 BODY keys", search(2, 999, "BODY"), "a NO [LIMIT]"},
		{"32 BODY keys", search(2, 32, "BODY"), "a OK"},
		{"32 TEXT keys", search(2, 32, "TEXT"), "a OK"},
		{"999 HEADER keys", search(1, 999, "HEADER A"), "a NO [LIMIT]"},
		{"100 HEADER keys", search(1, 100, "HEADER A"), "a OK"},
		{"32 TEXT keys on a header", search(1, 32, "TEXT"), "a OK"},
	} {
		t.Run(a.name, func(t *testing.T) {
			began := time.Now()
			c.cmd("a "+a.command, a.want)
			if took := time.Since(began); took > soon {
				t.Errorf("took %v; the bound is %v", took, soon)
			} else {
				t.Log(took.Round(time.Millisecond))
			}
		})
	}
	g.alive(t)
	// Many of the costliest at once hold up neither others nor the stop.
	for range 4 {
		c := g.imap(t, 0)
		c.cmd("s SELECT INBOX", "s OK")
		go c.write([]byte(strings.Repeat("a "+search(2, 32, "TEXT")+"\r\na "+patterns(5)+"\r\n", 10)))
	}
	g.alive(t)
	began := time.Now()
	if err := d.Stop(); err != nil || time.Since(began) > 3*time.Minute {
		t.Errorf("stopping under it took %v: %v", time.Since(began), err)
	}
	t.Logf("stopped in %v", time.Since(began).Round(time.Millisecond))
}

// TestLongDomains names domains whose conversion would cost seconds of computing
// each, before anybody has signed in.
func TestLongDomains(t *testing.T) {
	const most = 5 * time.Second
	g := attackDev(t)
	var han strings.Builder
	for i := range 40_000 {
		han.WriteRune(rune(0x4e00 + i*7919%20000))
	}
	domain := han.String()
	before := g.cpu(t)
	for range 5 {
		s := g.smtp(t)
		s.ok("MAIL FROM:<a@"+domain+"> SMTPUTF8", "5")
		s = g.smtp(t)
		s.ok("MAIL FROM:<a@example.net> SMTPUTF8", "250")
		s.ok("RCPT TO:<a@"+domain+">", "5")
	}
	for _, n := range []int{40_000, 700} {
		s := g.dialTLS(t, g.node.Submissions)
		s.reply("220")
		s.ok("EHLO x", "250")
		s.ok("AUTH PLAIN "+plain("a@"+domain[:3*n], "x"), "5")
		i := g.dialTLS(t, g.node.IMAPS)
		i.line()
		i.send("a LOGIN \"a@%s\" x\r\n", domain[:3*n])
		i.line()
		p := g.dialTLS(t, g.node.POP3S)
		p.reply("+OK")
		p.send("USER a@%s\r\n", domain[:3*n])
		p.line()
	}
	took := g.cpu(t) - before
	t.Logf("%v of CPU", took)
	if took > most {
		t.Errorf("names of domains cost %v of CPU; the bound is %v", took, most)
	}
	g.alive(t)
}
