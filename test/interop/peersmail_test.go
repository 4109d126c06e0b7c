package interop

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
)

// letter is a message on its way.
type letter struct {
	from, to       string
	mail, rcpt     string // parameters of MAIL and RCPT
	subject, extra string // extra is more text
}

func (l *letter) text() string {
	return fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\n\r\nhello\r\n%s", l.from, l.to, l.subject, l.extra)
}

// large is text of 10 MB.
func large() string { return strings.Repeat(strings.Repeat("x", 98)+"\r\n", 100_000) }

// converse sends a letter over a connection that was just made.
func (w *peers) converse(conn net.Conn, l *letter, before ...string) {
	w.t.Helper()
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	c := textproto.NewConn(conn)
	say := func(code int, line string) {
		w.t.Helper()
		if line != "" {
			must(w.t, c.PrintfLine("%s", line))
		}
		if _, msg, err := c.ReadResponse(code); err != nil {
			w.t.Fatalf("%.100s: %v %s", line, err, msg)
		}
	}
	say(2, "")
	say(2, "EHLO client.example")
	for _, line := range before {
		say(2, line)
	}
	say(2, "MAIL FROM:<"+l.from+"> "+l.mail)
	say(2, "RCPT TO:<"+l.to+"> "+l.rcpt)
	say(3, "DATA")
	d := c.DotWriter()
	if _, err := d.Write([]byte(l.text())); err != nil {
		w.t.Fatal(err)
	}
	must(w.t, d.Close())
	say(2, "")
	say(2, "QUIT")
}

// submit has our user send a letter.
func (w *peers) submit(l letter) {
	w.t.Helper()
	conn, err := tls.Dial("tcp", "localhost:"+port(w.s.node.Submissions), w.s.tls)
	must(w.t, err)
	l.from = w.s.user.Login
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + l.from + "\x00" + w.s.user.Password))
	w.converse(conn, &l, "AUTH PLAIN "+plain)
}

// inject has another system send a letter to our user.
func (w *peers) inject(addr string, l letter) {
	w.t.Helper()
	conn, err := net.Dial("tcp", addr)
	must(w.t, err)
	l.to = w.s.user.Login
	w.converse(conn, &l)
}

// queued is an entry of the queue, as rookery queue list --json shows it.
type queued struct {
	To       string `json:"to"`
	Attempts int    `json:"attempts"`
	Last     *struct {
		TLS   string `json:"tls"`
		Reply string `json:"reply"`
	} `json:"last"`
}

// kept waits until a domain's mail was tried and stays, and wants a verdict.
func (w *peers) kept(domain string, want ...string) {
	w.t.Helper()
	var all []queued
	w.until("the mail for "+domain+" is tried twice", func() bool {
		all = nil
		must(w.t, json.Unmarshal([]byte(w.rookery("queue", "list", "-domain", domain, "--json")), &all))
		return len(all) == 1 && all[0].Attempts > 1 && all[0].Last != nil
	})
	for _, text := range want {
		if !strings.Contains(all[0].Last.TLS, text) {
			w.t.Errorf("the verdict on %s is %q (reply %q), without %q", domain, all[0].Last.TLS, all[0].Last.Reply, text)
		}
	}
	w.rookery("queue", "cancel", "-domain", domain)
}

// inbox waits for a message in our user's INBOX that has a text in it.
func (w *peers) inbox(text string) (found string) {
	w.t.Helper()
	whole := &imap.FetchItemBodySection{Peek: true}
	c := dialIMAP(w.t, w.s)
	defer c.Close()
	w.until("a message with "+text+" is in INBOX", func() bool {
		if _, err := c.Select("INBOX", nil).Wait(); err != nil {
			w.t.Fatal(err)
		}
		uids, err := c.UIDSearch(&imap.SearchCriteria{Text: []string{text}}, nil).Wait()
		must(w.t, err)
		if len(uids.AllUIDs()) == 0 {
			return false
		}
		msgs, err := c.Fetch(imap.UIDSetNum(uids.AllUIDs()[0]), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
		must(w.t, err)
		found = string(msgs[0].FindBodySection(whole))
		return true
	})
	return found
}

// has wants texts in a message.
func (w *peers) has(m string, want ...string) {
	w.t.Helper()
	for _, text := range want {
		if !strings.Contains(m, text) {
			w.t.Errorf("the message lacks %q:\n%.3000s", text, m)
		}
	}
}
