package abuse

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// client speaks lines, and whatever else it likes.
type client struct {
	t    testing.TB
	raw  net.Conn
	conn net.Conn
	r    *bufio.Reader
}

const patience = 2 * time.Minute

func (g *target) dial(t testing.TB, addr string) *client {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &client{t: t, raw: c, conn: c, r: bufio.NewReaderSize(c, 64<<10)}
}

func (g *target) dialTLS(t testing.TB, addr string) *client {
	t.Helper()
	c := g.dial(t, addr)
	c.startTLS(g.tls)
	return c
}

func (c *client) startTLS(cfg *tls.Config) {
	c.t.Helper()
	tc := tls.Client(c.raw, cfg)
	if err := tc.Handshake(); err != nil {
		c.t.Fatalf("TLS: %v", err)
	}
	c.conn, c.r = tc, bufio.NewReaderSize(tc, 64<<10)
}

// send writes text and forgives a server that has closed the connection: what
// it said is read afterwards.
func (c *client) send(text string, args ...any) {
	c.t.Helper()
	if len(args) > 0 {
		text = fmt.Sprintf(text, args...)
	}
	c.write([]byte(text))
}

func (c *client) write(b []byte) error {
	c.conn.SetDeadline(time.Now().Add(patience))
	_, err := c.conn.Write(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("the server does not take %d bytes", len(b))
	}
	return err
}

// line reads one line without its end; an error is the connection's end.
func (c *client) line() (string, error) {
	c.t.Helper()
	c.conn.SetReadDeadline(time.Now().Add(patience))
	s, err := c.r.ReadString('\n')
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("no answer in %v; so far %.200q", patience, s)
	}
	return strings.TrimRight(s, "\r\n"), err
}

// must reads a line that begins with one of the texts.
func (c *client) must(prefix ...string) string {
	c.t.Helper()
	l, err := c.line()
	if err != nil {
		c.t.Fatalf("want %q, the connection ended: %v", prefix, err)
	}
	for _, p := range prefix {
		if strings.HasPrefix(l, p) {
			return l
		}
	}
	c.t.Fatalf("want %q, got %.300q", prefix, l)
	return ""
}

// ended reads to the end of the connection, which must come, and gives what
// was said before.
func (c *client) ended() string {
	c.t.Helper()
	var b strings.Builder
	for {
		l, err := c.line()
		b.WriteString(l)
		if err != nil {
			return b.String()
		}
		b.WriteByte('\n')
	}
}

// ok sends an SMTP or POP3 command and wants a reply, all of its lines.
func (c *client) ok(command, code string) string {
	c.t.Helper()
	c.send(command + "\r\n")
	return c.reply(code)
}

// reply reads an SMTP reply of any number of lines.
func (c *client) reply(code string) string {
	c.t.Helper()
	for {
		l := c.must(code)
		if len(l) < 4 || l[3] != '-' || l[0] < '2' || l[0] > '5' {
			return l
		}
	}
}

// cmd sends an IMAP command, wants its tagged reply and gives all the rest.
func (c *client) cmd(command, want string) string {
	c.t.Helper()
	c.send("%s\r\n", command)
	return c.until(command[:strings.IndexByte(command, ' ')+1], want)
}

// until reads up to the tagged reply, which must begin with want.
func (c *client) until(tag, want string) string {
	c.t.Helper()
	var b strings.Builder
	for {
		l, err := c.line()
		if err != nil {
			c.t.Fatalf("want %q, the connection ended (%v) after %.300q", want, err, b.String())
		}
		b.WriteString(l + "\n")
		if strings.HasPrefix(l, tag) {
			if !strings.HasPrefix(l, want) {
				c.t.Fatalf("want %q, got %.300q", want, l)
			}
			return b.String()
		}
	}
}

// smtp is a greeted connection to the MX.
func (g *target) smtp(t testing.TB) *client {
	t.Helper()
	c := g.dial(t, g.node.SMTP)
	c.reply("220")
	c.ok("EHLO attacker.example.net", "250")
	return c
}

// submission is a signed-in connection.
func (g *target) submission(t testing.TB, user int) *client {
	t.Helper()
	c := g.dialTLS(t, g.node.Submissions)
	c.reply("220")
	c.ok("EHLO attacker.example.net", "250")
	c.ok("AUTH PLAIN "+plain(g.users[user].Login, g.users[user].Password), "235")
	return c
}

// envelope begins a message from a stranger to a user.
func (g *target) envelope(t testing.TB, user int) *client {
	t.Helper()
	c := g.smtp(t)
	c.ok("MAIL FROM:<stranger@example.net>", "250")
	c.ok("RCPT TO:<"+g.users[user].Login+">", "250")
	return c
}

// deliver sends a message and wants its reply.
func (g *target) deliver(t testing.TB, user int, message []byte, code string) {
	t.Helper()
	c := g.envelope(t, user)
	c.ok("DATA", "354")
	c.write(stuffed(message))
	c.reply(code)
}

func stuffed(m []byte) []byte {
	m = bytes.ReplaceAll(m, []byte("\r\n."), []byte("\r\n.."))
	if len(m) > 0 && m[0] == '.' {
		m = append([]byte("."), m...)
	}
	return append(m, ".\r\n"...)
}

// imap is a signed-in connection.
func (g *target) imap(t testing.TB, user int) *client {
	t.Helper()
	c := g.dialTLS(t, g.node.IMAPS)
	c.must("* OK")
	c.cmd(fmt.Sprintf("a LOGIN %q %q", g.users[user].Login, g.users[user].Password), "a OK")
	return c
}

// pop3 is a signed-in connection.
func (g *target) pop3(t testing.TB, user int) *client {
	t.Helper()
	c := g.dialTLS(t, g.node.POP3S)
	c.must("+OK")
	c.ok("USER "+g.users[user].Login, "+OK")
	c.ok("PASS "+g.users[user].Password, "+OK")
	return c
}

// inStep sends a command; either its reply comes, or the connection is closed.
func (c *client) inStep(command, want string) {
	c.t.Helper()
	c.send(command + "\r\n")
	for {
		l, err := c.line()
		if err != nil {
			return
		}
		if strings.HasPrefix(l, "421") {
			continue
		}
		if !strings.HasPrefix(l, want) {
			c.t.Errorf("out of step: %s answered %.200q", command, l)
		}
		return
	}
}

// tryTLS is startTLS where failing is an answer too.
func (c *client) tryTLS(cfg *tls.Config) error {
	tc := tls.Client(c.raw, cfg)
	if err := tc.Handshake(); err != nil {
		return err
	}
	c.conn, c.r = tc, bufio.NewReaderSize(tc, 64<<10)
	return nil
}
