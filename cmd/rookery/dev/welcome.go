package dev

import (
	"context"
	"fmt"
	"net"
	"net/smtp"
	"strings"
	"time"

	"rookery"
)

const welcomeText = `From: Rookery <postmaster@%[2]s>
To: %[1]s
Subject: Welcome to Rookery
Date: %[3]s
Message-ID: <welcome.%[4]d.%[5]s@%[2]s>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Hello,

this message went the way of all mail: in over SMTP, agreed on by a Raft
group, its body encrypted in the log and soon in the object store.

Read it over IMAP or POP3, then send one to a colleague.
`

// welcome sends each user a first message, once for a data directory. It
// takes the public road, so a start that prints its table has delivered mail.
func (d *cluster) welcome(ctx context.Context) error {
	if d.secrets.Welcomed {
		return nil
	}
	for _, u := range devPeople {
		now := time.Now()
		text := fmt.Sprintf(welcomeText, u.Mail, devDomain, now.Format(time.RFC1123Z), now.UnixNano(), u.UID)
		if err := d.sendPatiently(ctx, u.Mail, strings.ReplaceAll(text, "\n", "\r\n")); err != nil {
			return rookery.E("send welcome message", 0, err)
		}
	}
	d.secrets.Welcomed = true
	return d.saveSecrets()
}

// sendPatiently tries for some seconds, as mail servers do: a group that has
// just moved answers 4xx.
func (d *cluster) sendPatiently(ctx context.Context, to, text string) error {
	for end := time.Now().Add(20 * time.Second); ; {
		err := d.send(ctx, to, text)
		if err == nil || time.Now().After(end) {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

func (d *cluster) send(ctx context.Context, to, text string) error {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", local(d.ports[0].smtp))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	c, err := smtp.NewClient(conn, "localhost")
	if err != nil {
		return err
	}
	if err := c.Mail("postmaster@" + devDomain); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(text)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return c.Quit()
}
