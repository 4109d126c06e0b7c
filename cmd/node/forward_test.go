package node

import (
	"io"
	"net"
	"net/smtp"
	"strings"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"rookery/directory/embedded"
)

// letters is another system: it keeps what it is sent with its envelope.
type letters struct{ all chan letter }

type letter struct{ from, to, text string }

// taking is one session with it.
type taking struct {
	there *letters
	now   letter
}

func (l *letters) NewSession(*gosmtp.Conn) (gosmtp.Session, error) { return &taking{there: l}, nil }

func (s *taking) Mail(from string, _ *gosmtp.MailOptions) error {
	s.now = letter{from: from}
	return nil
}

func (s *taking) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	s.now.to += to + " "
	return nil
}

func (s *taking) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	s.now.text = string(b)
	s.there.all <- s.now
	return err
}

func (s *taking) Reset()        {}
func (s *taking) Logout() error { return nil }

func (l *letters) next(t *testing.T) letter {
	t.Helper()
	select {
	case x := <-l.all:
		return x
	case <-time.After(2 * time.Minute):
		t.Fatal("nothing arrives")
	}
	return letter{}
}

// A mailbox that the directory forwards: mail goes on with a sender that its bounce
// finds back through, unsigned and unchanged; what comes round is refused, and two
// mailboxes that forward to each other are.
func TestDirectoryForwardsMail(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	there := &letters{make(chan letter, 10)}
	server := gosmtp.NewServer(there)
	server.Domain, server.ReadTimeout = "sink.example", time.Minute
	server.EnableSMTPUTF8 = true
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	dir := directoryServer(t)
	for uid, to := range map[string]string{"away": "x@far.example", "left": "right@" + testDomain, "right": "left@" + testDomain} {
		if err := dir.AddUser(embedded.User{UID: uid, Mail: uid + "@" + testDomain, Password: "secret", Extra: map[string][]string{
			"mailForwardingAddress": {to}, "deliveryMode": {"nolocal"}}}); err != nil {
			t.Fatal(err)
		}
	}
	deps := testDeps(t, dir)
	deps.Settings.Outbound.Smarthost = l.Addr().String()
	n := startNode(t, testConfig(t), deps)
	send := func(from, to, text string) error {
		cl, err := smtp.Dial(n.Addrs()["smtp"][0])
		if err != nil {
			return err
		}
		defer cl.Close()
		if err := cl.Mail(from); err != nil {
			return err
		}
		if err := cl.Rcpt(to); err != nil {
			return err
		}
		w, err := cl.Data()
		if err != nil {
			return err
		}
		io.WriteString(w, text)
		return w.Close()
	}
	const text = "From: y@elsewhere.example\r\nSubject: ch\xc3\xa0o\r\n\r\nhi\r\n"
	if err := send("y@elsewhere.example", "away@"+testDomain, text); err != nil {
		t.Fatal(err)
	}
	got := there.next(t)
	if got.to != "x@far.example " || !strings.HasPrefix(got.from, "SRS0=") ||
		!strings.HasSuffix(got.from, "=elsewhere.example=y@"+testDomain) ||
		!strings.HasPrefix(got.text, "Delivered-To: ") || !strings.HasSuffix(got.text, text) || strings.Contains(got.text, "DKIM-Signature") {
		t.Fatalf("%+v", got)
	}
	if strings.Contains(got.text[:strings.Index(got.text, "Received:")], "away") {
		t.Errorf("Delivered-To tells who forwards: %s", got.text)
	}
	if err := send("", got.from, "Subject: bounce\r\n\r\nx\r\n"); err != nil {
		t.Fatal(err)
	}
	if back := there.next(t); back.to != "y@elsewhere.example " || back.from != "" {
		t.Errorf("the bounce goes as %+v", back)
	}
	for what, c := range map[string]struct{ from, to, text, want string }{
		"mail that is no bounce":  {"z@elsewhere.example", got.from, text, "550 5.7.1"},
		"a forged address":        {"", strings.Replace(got.from, "=y@", "=victim@", 1), text, "550 5.1.1"},
		"what comes round":        {got.from, "away@" + testDomain, got.text, "554 5.4.6"},
		"two that forward around": {"y@elsewhere.example", "left@" + testDomain, text, "550 5.4.6"},
	} {
		if err := send(c.from, c.to, c.text); err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), `"`, ""), c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
