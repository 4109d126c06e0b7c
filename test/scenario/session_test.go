package scenario

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"rookery/test/harness"
)

// Every user signs in through every node of five, and has there what IMAP
// offers: commands sent behind the sign-in, large messages both ways, and the
// push of mail that came through another node. When a node dies, users of all
// others go on.
func TestSessionsThroughNodesWithoutAReplica(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts five processes")
	}
	d := harness.StartCluster(t, t.TempDir(), 5)
	for i, n := range d.Facts.Nodes {
		for _, u := range d.Facts.Users {
			if err := useMailbox(t, d, n, d.Facts.Nodes[(i+1)%5], u); err != nil {
				t.Errorf("%s through %s: %v", u.Login, n.Name, err)
			}
			if err := maildrop(t, d, n, u); err != nil {
				t.Errorf("%s through %s: %v", u.Login, n.Name, err)
			}
		}
	}
	if t.Failed() {
		return
	}
	// The first node leads every group of a new cluster.
	if err := d.KillNode(d.Facts.Nodes[0].Name); err != nil {
		t.Fatal(err)
	}
	for _, n := range d.Facts.Nodes[1:] {
		for _, u := range d.Facts.Users {
			ctx, cancel := context.WithTimeout(t.Context(), harness.Patience(20*time.Second))
			err := harness.Poll(ctx, func() (bool, error) { return maildrop(t, d, n, u) == nil, nil })
			cancel()
			if err != nil {
				t.Errorf("%s through %s after a node died: %v", u.Login, n.Name, maildrop(t, d, n, u))
			}
		}
	}
}

// client is an IMAP or POP3 client that keeps its first error.
type client struct {
	conn *tls.Conn
	r    *bufio.Reader
	err  error
}

func dial(t *testing.T, d *harness.Dev, addr string) *client {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, d.TLS(t))
	if err != nil {
		return &client{err: err}
	}
	conn.SetDeadline(time.Now().Add(harness.Patience(30 * time.Second)))
	return &client{conn: conn, r: bufio.NewReader(conn)}
}

func (c *client) send(format string, args ...any) {
	if c.err == nil {
		_, c.err = fmt.Fprintf(c.conn, format, args...)
	}
}

// until reads up to a line with the beginning; literals are left out.
func (c *client) until(begin string) (lines []string) {
	for c.err == nil {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.err = fmt.Errorf("waiting for %q after %q: %w", begin, lines, err)
			return lines
		}
		lines = append(lines, line)
		if strings.HasPrefix(line, begin) {
			return lines
		}
		if tag, _, _ := strings.Cut(begin, " "); strings.HasPrefix(line, tag+" ") && tag != "*" {
			c.err = fmt.Errorf("%q came instead of %q", line, begin)
		}
	}
	return lines
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
	}
}

func useMailbox(t *testing.T, d *harness.Dev, through, other harness.Node, u harness.User) error {
	c := dial(t, d, through.IMAPS)
	defer c.close()
	c.until("* OK")
	c.send("a LOGIN %s %s\r\nb SELECT INBOX\r\nc NOOP\r\n", u.Login, u.Password)
	if in := c.until("a OK"); c.err == nil && !strings.Contains(in[len(in)-1], "CAPABILITY IMAP4rev1") {
		return fmt.Errorf("the sign-in tells no capabilities: %q", in)
	}
	c.until("b OK")
	c.until("c OK")
	body := "Subject: appended\r\n\r\n" + incompressible(3_000_000)
	c.send("d APPEND INBOX {%d}\r\n", len(body))
	c.until("+ ")
	c.send("%s\r\n", body)
	c.until("d OK")
	c.send("e FETCH * BODY.PEEK[]\r\n")
	var n int
	for c.err == nil && n == 0 {
		line, err := c.r.ReadString('\n')
		c.err = err
		if i := strings.LastIndex(line, "BODY[] {"); i >= 0 {
			fmt.Sscanf(line[i:], "BODY[] {%d}", &n)
		}
	}
	if c.err != nil {
		return c.err
	}
	got := make([]byte, n)
	if _, err := io.ReadFull(c.r, got); err != nil || string(got) != body {
		return fmt.Errorf("fetched %d bytes that are not the %d appended: %v", n, len(body), err)
	}
	c.until("e OK")
	c.send("f IDLE\r\n")
	c.until("+ ")
	if c.err == nil {
		if err := send(other.SMTP, []string{u.Login}, "Subject: pushed\r\n\r\nhi\r\n"); err != nil {
			return fmt.Errorf("mail through %s: %w", other.Name, err)
		}
	}
	for pushed := false; c.err == nil && !pushed; {
		pushed = strings.Contains(strings.Join(c.until("* "), ""), " EXISTS")
	}
	c.send("DONE\r\n")
	c.until("f OK")
	c.send("g LOGOUT\r\n")
	c.until("* BYE")
	c.until("g OK")
	return c.err
}

func maildrop(t *testing.T, d *harness.Dev, through harness.Node, u harness.User) error {
	c := dial(t, d, through.POP3S)
	defer c.close()
	c.until("+OK")
	c.send("USER %s\r\nPASS %s\r\nSTAT\r\nQUIT\r\n", u.Login, u.Password)
	for range 4 {
		if line, err := c.line(); err != nil || !strings.HasPrefix(line, "+OK") {
			return fmt.Errorf("POP3 says %q %v", line, err)
		}
	}
	return nil
}

func (c *client) line() (string, error) {
	if c.err != nil {
		return "", c.err
	}
	return c.r.ReadString('\n')
}
