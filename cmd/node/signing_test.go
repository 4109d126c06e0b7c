package node

import (
	"crypto/tls"
	"io"
	"net"
	"net/smtp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	gosmtp "github.com/emersion/go-smtp"

	"rookery"
	"rookery/cmd/node/adminapi"
	ours "rookery/protocols/outbound/dkim"
)

// submit sends a message as a user who signs in.
func submit(t *testing.T, n *Node, user, message string, to ...string) {
	t.Helper()
	raw, err := net.Dial("tcp", n.Addrs()["submission"][0])
	if err != nil {
		t.Fatal(err)
	}
	cl, err := smtp.NewClient(raw, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	err = cl.StartTLS(&tls.Config{InsecureSkipVerify: true})
	if err == nil {
		err = cl.Auth(smtp.PlainAuth("", user, "secret", "localhost"))
	}
	if err == nil {
		err = cl.Mail(user)
	}
	for _, who := range to {
		if err == nil {
			err = cl.Rcpt(who)
		}
	}
	var w io.WriteCloser
	if err == nil {
		w, err = cl.Data()
	}
	if err == nil {
		_, err = io.WriteString(w, message)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// dkimRecords are the DKIM records of a domain, by their names.
func dkimRecords(t *testing.T, n *Node, domain string) map[string]string {
	t.Helper()
	all, err := n.system.SigningKeys()
	if err != nil {
		t.Fatal(err)
	}
	zone := map[string]string{}
	for _, x := range all {
		for _, k := range x.Keys {
			if x.Domain == domain {
				zone[ours.RecordName(k.Selector, domain)] = k.Record
			}
		}
	}
	return zone
}

// sink is another system: it keeps what it is sent.
type sink struct{ messages chan string }

// openSink listens where the settings call it the smart host.
func openSink(t *testing.T) (*sink, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{messages: make(chan string, 10)}
	server := gosmtp.NewServer(s)
	server.Domain, server.ReadTimeout = "sink.example", time.Minute
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return s, l.Addr().String()
}

func (s *sink) NewSession(*gosmtp.Conn) (gosmtp.Session, error) { return s, nil }
func (s *sink) Mail(string, *gosmtp.MailOptions) error          { return nil }
func (s *sink) Rcpt(string, *gosmtp.RcptOptions) error          { return nil }
func (s *sink) Reset()                                          {}
func (s *sink) Logout() error                                   { return nil }

func (s *sink) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	s.messages <- string(b)
	return err
}

// What a user of a new cluster sends to another system arrives there signed by
// both keys, without its Bcc and in 7 bit; and so after a restart.
func TestSubmittedMailArrivesSigned(t *testing.T) {
	there, address := openSink(t)
	cfg, deps := testConfig(t), testDeps(t, directoryServer(t))
	cfg.Listen.Submission = []string{"127.0.0.1:0"}
	deps.Settings.Outbound.Smarthost = address
	n := startNode(t, cfg, deps)
	until(t, "the domain has keys", func() bool { return len(dkimRecords(t, n, testDomain)) == 2 })
	zone := dkimRecords(t, n, testDomain)
	stopNode(t, n)
	n = startNode(t, cfg, deps)
	submit(t, n, login(0), "From: "+login(0)+"\r\nTo: x@far.example\r\nBcc: y@far.example\r\nSubject: chào\r\n\r\nchào bạn\r\n.dot\r\n",
		"x@far.example")
	var sent string
	select {
	case sent = <-there.messages:
	case <-time.After(2 * time.Minute):
		t.Fatal("it does not arrive")
	}
	if !strings.HasPrefix(sent, "DKIM-Signature: ") || strings.Contains(sent, "y@far.example") || strings.Contains(sent, "Return-Path:") {
		t.Errorf("it arrives as %s", sent)
	}
	if slices.ContainsFunc([]byte(sent), func(c byte) bool { return c >= 0x80 }) {
		t.Error("it is not 7 bit")
	}
	got, err := dkim.VerifyWithOptions(strings.NewReader(sent), &dkim.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) { return []string{zone[name]}, nil }})
	if err != nil || len(got) != 2 {
		t.Fatalf("%d signatures, %v", len(got), err)
	}
	for _, v := range got {
		if v.Err != nil || v.Domain != testDomain {
			t.Errorf("%s: %v", v.Domain, v.Err)
		}
	}
}

// An operator is told of a domain that is not the cluster's, without a question to
// the DNS.
func TestRecordsOfAnotherDomain(t *testing.T) {
	n, cfg, _ := oneNode(t)
	if _, err := adminapi.New(cfg.Admin).DNS(t.Context(), "elsewhere.test", nil); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("%v", err)
	}
	if got := n.report().Hostname; got != cfg.Hostname {
		t.Errorf("the report names it %q", got)
	}
}
