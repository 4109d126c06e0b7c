package node

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	"rookery/storage/mailbox"
)

// A client that idles on one node is told of a message that came through
// another, whichever the two are.
func TestSimIdleHearsOfMailThroughAnotherNode(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		n := 0
		for _, at := range c.nodes {
			im := c.login(at, 0)
			im.do("SELECT INBOX")
			im.send("i IDLE")
			im.until("+ ")
			for _, through := range c.nodes {
				a := c.ledger.begin(attempt{size: 2000, to: []int{0}, box: mailbox.Inbox})
				if err := c.deliver(through, a); err != nil {
					t.Fatal(err)
				}
				a.acked = true
				n++
				im.until(fmt.Sprintf("* %d EXISTS", n))
			}
			im.send("DONE")
			im.until("i OK")
			im.conn.Close()
		}
		c.mustCheck()
	})
}

// imapClient speaks IMAP line by line.
type imapClient struct {
	t    *testing.T
	conn *tls.Conn
	r    *bufio.Reader
	tag  int
}

// login is a session of a person on a machine.
func (c *sim) login(x *simNode, person int) *imapClient {
	c.t.Helper()
	raw, err := c.net.Dialer(simClient+":0")(context.Background(), x.host+":993")
	if err != nil {
		c.t.Fatal(err)
	}
	conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	conn.SetDeadline(time.Now().Add(3 * time.Minute))
	im := &imapClient{t: c.t, conn: conn, r: bufio.NewReader(conn)}
	im.until("* OK")
	im.do("LOGIN " + login(person) + " secret")
	return im
}

func (im *imapClient) send(line string) {
	im.t.Helper()
	if _, err := fmt.Fprintf(im.conn, "%s\r\n", line); err != nil {
		im.t.Fatal(err)
	}
}

// until reads up to a line that begins so.
func (im *imapClient) until(prefix string) (read []string) {
	im.t.Helper()
	for {
		line, err := im.r.ReadString('\n')
		read = append(read, line)
		if err != nil {
			im.t.Fatalf("waiting for %q: %q: %v", prefix, read, err)
		}
		if strings.HasPrefix(line, prefix) {
			return read
		}
	}
}

// do sends a command and waits for its OK.
func (im *imapClient) do(cmd string) []string {
	im.t.Helper()
	im.tag++
	tag := fmt.Sprintf("t%d ", im.tag)
	im.send(tag + cmd)
	read := im.until(tag)
	if last := read[len(read)-1]; !strings.HasPrefix(last, tag+"OK") {
		im.t.Fatalf("%s is answered %q", cmd, last)
	}
	return read
}
