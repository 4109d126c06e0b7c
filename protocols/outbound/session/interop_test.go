package session_test

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"rookery/protocols/outbound/dsn"
	"rookery/protocols/outbound/session"
)

// backend keeps what go-smtp's server was sent.
type backend struct {
	mu    sync.Mutex
	mails []mail
	users []string
}

type mail struct {
	From string
	Mail smtp.MailOptions
	To   []string
	Rcpt []smtp.RcptOptions
	Text string
}

type client struct {
	b *backend
	mail
}

func (b *backend) NewSession(*smtp.Conn) (smtp.Session, error) { return &client{b: b}, nil }

func (c *client) AuthMechanisms() []string { return []string{sasl.Plain} }

func (c *client) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, name, password string) error {
		if password != "pass" {
			return smtp.ErrAuthFailed
		}
		c.b.mu.Lock()
		defer c.b.mu.Unlock()
		c.b.users = append(c.b.users, name)
		return nil
	}), nil
}

func (c *client) Mail(from string, o *smtp.MailOptions) error {
	c.mail = mail{From: from, Mail: *o}
	return nil
}

func (c *client) Rcpt(to string, o *smtp.RcptOptions) error {
	if to == "nobody@there.example" {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}
	c.To, c.mail.Rcpt = append(c.To, to), append(c.mail.Rcpt, *o)
	return nil
}

func (c *client) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	c.Text = string(b)
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	c.b.mails = append(c.b.mails, c.mail)
	return nil
}

func (c *client) Reset()        { c.mail = mail{} }
func (c *client) Logout() error { return nil }

// A server that others wrote gets what was sent: over TLS with AUTH, several
// messages on one connection, all extensions in use.
func TestGoSMTP(t *testing.T) {
	ca, b := newAuthority(t), &backend{}
	srv := smtp.NewServer(b)
	srv.Domain, srv.EnableSMTPUTF8, srv.EnableDSN, srv.MaxMessageBytes = "mx.example.org", true, true, 10<<20
	srv.TLSConfig = ca.config(t, "mx.example.org", later())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	defer served.Wait()
	defer srv.Close()
	served.Go(func() { srv.Serve(l) })
	s, err := session.Open(t.Context(), session.Peer{Name: "mx.example.org", Addr: l.Addr().(*net.TCPAddr).AddrPort()}, session.Options{
		Hello: "us.example", Auth: &session.Auth{Username: "user", Password: "pass"},
		TLS: session.TLSPolicy{Mode: session.Verified, Roots: ca.pool},
	})
	if err != nil {
		t.Fatal(err)
	}
	e := envelope(t, "bob@there.example", "nobody@there.example", "bjørn@there.example")
	e.Return, e.ID = dsn.ReturnFull, "env=1"
	e.Recipients[0].Notify, e.Recipients[0].Original = dsn.Never, "rfc822;bob+x@us.example"
	text := "Subject: hi\r\n\r\n.dot\r\nblå\r\n"
	for range 3 {
		st := send(t, s, e, text)
		if st[0].Outcome != session.Accepted || st[2].Outcome != session.Accepted {
			t.Fatalf("%+v", st)
		}
		if r := st[1].Reply; st[1].Outcome != session.Refused || r.Code != 550 || r.Enhanced != [3]int{5, 1, 1} || r.Text != "no such user" {
			t.Errorf("%+v", st[1])
		}
	}
	if st := send(t, s, envelope(t, "nobody@there.example"), text); !st[0].Permanent() {
		t.Errorf("%+v", st)
	}
	if st := send(t, s, envelope(t, "bob@there.example"), text); st[0].Outcome != session.Accepted {
		t.Errorf("%+v", st)
	}
	s.Quit(t.Context())
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.mails) != 4 || len(b.users) != 1 || b.users[0] != "user" {
		t.Fatalf("%d messages, users %q", len(b.mails), b.users)
	}
	want := mail{
		From: "alice@us.example",
		Mail: smtp.MailOptions{Body: smtp.Body8BitMIME, Size: int64(len(text)), UTF8: true, Return: smtp.DSNReturnFull, EnvelopeID: "env=1"},
		To:   []string{"bob@there.example", "bjørn@there.example"},
		Rcpt: []smtp.RcptOptions{
			{Notify: []smtp.DSNNotify{smtp.DSNNotifyNever}, OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "bob+x@us.example"},
			{},
		},
		Text: text,
	}
	if d := cmp.Diff(want, b.mails[0]); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}
