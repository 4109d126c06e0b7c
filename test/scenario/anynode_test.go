package scenario

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net/smtp"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"rookery/test/harness"
)

// Mail for every user is taken by every node of five, though each group lives
// on three of them, and is there exactly once.
func TestMailThroughNodesWithoutAReplica(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts five processes")
	}
	d := harness.StartCluster(t, t.TempDir(), 5)
	var to []string
	for _, u := range d.Facts.Users {
		to = append(to, u.Login)
	}
	want := map[string]bool{}
	for _, n := range d.Facts.Nodes {
		subject := "through " + n.Name
		want[subject] = true
		msg := fmt.Sprintf("Subject: %s\r\n\r\n%s\r\n", subject, incompressible(600_000))
		if err := send(n.SMTP, to, msg); err != nil {
			t.Errorf("%s does not take mail: %v", n.Name, err)
			continue
		}
		began := time.Now()
		for _, u := range d.Facts.Users {
			await(t, d, u, len(want))
		}
		t.Logf("all recipients see what was sent through %s %v after its 250", n.Name, time.Since(began).Round(time.Millisecond))
	}
	for _, u := range d.Facts.Users {
		var got []string
		ctx, cancel := context.WithTimeout(t.Context(), harness.Patience(30*time.Second))
		defer cancel()
		err := harness.Poll(ctx, func() (bool, error) {
			got = subjects(t, d, u)
			return len(got) >= len(want), nil
		})
		if err != nil {
			t.Fatalf("%s has %v: %v", u.Login, got, err)
		}
		seen := map[string]int{}
		for _, s := range got {
			seen[s]++
		}
		for s := range want {
			if seen[s] != 1 {
				t.Errorf("%s has the message %q %d times, want once", u.Login, s, seen[s])
			}
		}
	}
}

// await waits until a user's inbox has so many messages.
func await(t *testing.T, d *harness.Dev, u harness.User, n int) (got []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := harness.Poll(ctx, func() (bool, error) {
		got = subjects(t, d, u)
		return len(got) >= n, nil
	})
	if err != nil {
		t.Fatalf("%s has %v: %v", u.Login, got, err)
	}
	return got
}

// incompressible is lines of text that stay as long in the log: a body of
// several entries.
func incompressible(n int) string {
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(rand.Text() + rand.Text() + "\r\n")
	}
	return b.String()
}

// send hands a message over in the clear, as a server without STARTTLS does.
func send(addr string, to []string, msg string) error {
	c, err := smtp.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Mail("someone@elsewhere.test"); err != nil {
		return err
	}
	for _, a := range to {
		if err := c.Rcpt(a); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err == nil {
		_, err = w.Write([]byte(msg))
	}
	if err == nil {
		err = w.Close()
	}
	return err
}

// subjects are those of a user's inbox, from whichever node shows it.
func subjects(t *testing.T, d *harness.Dev, u harness.User) (all []string) {
	t.Helper()
	for _, n := range d.Facts.Nodes {
		conn, err := tls.Dial("tcp", n.POP3S, d.TLS(t))
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(harness.Patience(30 * time.Second)))
		c := textproto.NewConn(conn)
		say := func(format string, args ...any) string {
			if format != "" {
				c.PrintfLine(format, args...)
			}
			line, _ := c.ReadLine()
			return line
		}
		say("")
		say("USER %s", u.Login)
		var count int
		if _, err := fmt.Sscanf(say("PASS %s", u.Password), "+OK %d", &count); err != nil {
			c.Close() // no replica there
			continue
		}
		for i := range count {
			say("TOP %d 0", i+1)
			lines, err := c.ReadDotLines()
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range lines {
				if s, ok := strings.CutPrefix(l, "Subject: through"); ok {
					all = append(all, "through"+s)
				}
			}
		}
		c.Close()
		return all
	}
	return nil
}
