package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"rookery/test/harness"
)

// Two of three nodes are killed under load: the third answers everything as
// temporary, and takes mail again by itself when one of them is back. Nothing
// that was acknowledged is lost.
func TestLostQuorumIsTemporary(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts three processes")
	}
	d := harness.StartCluster(t, t.TempDir(), 3)
	last := d.Facts.Nodes[2]
	l := startLoad(t, d, d.Facts.Nodes...)
	defer l.stop()
	l.more("at the beginning")
	must(t, d.KillNode("node1"))
	must(t, d.KillNode("node2"))
	var clients sync.WaitGroup
	for name, answer := range map[string]func() error{
		"SMTP": func() error { return smtpTemporary(d, last) },
		"IMAP": func() error { return imapTemporary(t, d, last) },
		"POP3": func() error { return pop3Temporary(t, d, last) },
	} {
		clients.Go(func() {
			began := time.Now()
			if err := answer(); err != nil {
				t.Errorf("%s without a quorum: %v", name, err)
			}
			t.Logf("%s answered after %v", name, time.Since(began).Round(10*time.Millisecond))
		})
	}
	clients.Wait()
	must(t, d.StartNode("node2"))
	l.more("after one node came back")
	must(t, d.StartNode("node1"))
	l.more("after both nodes came back")
	l.stop()
	t.Logf("%d messages sent, %d acknowledged", len(l.acknowledged), l.count())
	for _, u := range d.Facts.Users {
		filed(t, d, u, l.acknowledged)
	}
}

// A client waits this long for an answer; the nodes give up before.
const answerWithin = 25 * time.Second

func smtpTemporary(d *harness.Dev, n harness.Node) error {
	done := make(chan error, 1)
	go func() { done <- send(n.SMTP, []string{d.Facts.Users[0].Login}, "Subject: doubtful\r\n\r\nhi\r\n") }()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience(answerWithin))
	defer cancel()
	select {
	case err := <-done:
		var said *textproto.Error
		if !errors.As(err, &said) || said.Code != 451 {
			return fmt.Errorf("the answer is %w, not 451", err)
		}
		return nil
	case <-ctx.Done():
		return errors.New("no answer")
	}
}

func imapTemporary(t *testing.T, d *harness.Dev, n harness.Node) error {
	u := d.Facts.Users[0]
	c := dial(t, d, n.IMAPS)
	defer c.close()
	c.until("* OK")
	if c.err != nil {
		return c.err
	}
	c.conn.SetDeadline(time.Now().Add(harness.Patience(answerWithin)))
	c.send("a LOGIN %s %s\r\n", u.Login, u.Password)
	line, err := c.line()
	if err == nil && strings.HasPrefix(line, "a OK") {
		c.send("a SELECT INBOX\r\n")
		line, err = c.line()
	}
	if err != nil || !strings.HasPrefix(line, "a NO [UNAVAILABLE]") {
		return fmt.Errorf("%q %v", line, err)
	}
	return nil
}

func pop3Temporary(t *testing.T, d *harness.Dev, n harness.Node) error {
	u := d.Facts.Users[0]
	c := dial(t, d, n.POP3S)
	defer c.close()
	c.until("+OK")
	if c.err != nil {
		return c.err
	}
	c.conn.SetDeadline(time.Now().Add(harness.Patience(answerWithin)))
	c.send("USER %s\r\nPASS %s\r\n", u.Login, u.Password)
	c.until("+OK")
	line, err := c.line()
	if err != nil || !strings.HasPrefix(line, "-ERR [SYS/TEMP]") {
		return fmt.Errorf("%q %v", line, err)
	}
	return nil
}
