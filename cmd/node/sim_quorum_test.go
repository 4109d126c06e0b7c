package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// Without a quorum SMTP, IMAP and POP3 say that it cannot now, and all goes on
// by itself when the quorum is back.
func TestSimQuorumLoss(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		c.sendFor(3 * time.Second)
		c.powerCut(c.nodes[1], c.nodes[2])
		left := c.nodes[0]
		time.Sleep(3 * time.Second)
		refused, stop := c.send(1)
		time.Sleep(30 * time.Second)
		stop()
		refused.mu.Lock()
		if refused.temporary[left.host] == 0 || len(refused.permanent) > 0 || refused.acked[left.host] > 0 {
			t.Errorf("SMTP: temporary %v, permanent %v, accepted %v", refused.temporary, refused.permanent, refused.acked)
		}
		refused.mu.Unlock()
		imap := c.talk(left, 993, "a LOGIN %s secret\r\nb SELECT INBOX\r\nc LOGOUT\r\n", login(0))
		if !strings.Contains(imap, "NO [UNAVAILABLE]") {
			t.Errorf("IMAP says %q", imap)
		}
		pop := c.talk(left, 995, "USER %s\r\nPASS secret\r\nQUIT\r\n", login(0))
		if !strings.Contains(pop, "-ERR [SYS/TEMP]") {
			t.Errorf("POP3 says %q", pop)
		}
		c.onAll(c.nodes[1:])
		time.Sleep(15 * time.Second)
		c.sendFor(3 * time.Second)
		c.mustCheck()
	})
}

// onAll starts machines at the same time: none has a quorum alone.
func (c *sim) onAll(xs []*simNode) {
	c.t.Helper()
	if err := c.tryOnAll(xs); err != nil {
		c.t.Fatal(err)
	}
}

func (c *sim) tryOnAll(xs []*simNode) error {
	errs := make(chan error, len(xs))
	for _, x := range xs {
		x.disk = newDisk(x.mem, 0, nil)
		x.disk.lies.Store("")
		x.deps.FS = x.disk
		go func() {
			n, err := Open(context.Background(), x.cfg, x.deps)
			x.Node = n
			if err != nil {
				err = fmt.Errorf("%s: %w", x.cfg.Name, err)
			}
			errs <- err
		}()
	}
	var all []error
	for range xs {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

func (c *sim) sendFor(d time.Duration) {
	l, stop := c.send(2)
	time.Sleep(d)
	stop()
	l.mustBeTemporary(c.t)
}

// talk sends lines over TLS and gives all that is answered.
func (c *sim) talk(x *simNode, port int, format string, args ...any) string {
	c.t.Helper()
	raw, err := c.net.Dialer(simClient+":0")(context.Background(), fmt.Sprintf("%s:%d", x.host, port))
	if err != nil {
		c.t.Fatal(err)
	}
	conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	go fmt.Fprintf(conn, format, args...)
	b, _ := io.ReadAll(conn)
	return string(b)
}
