package node

import (
	"crypto/tls"
	"net"
	"net/smtp"
	"strings"
	"testing"

	"rookery"
	"rookery/cmd/node/adminapi"
)

// A credential is made by an operator, lets its client send, is audited without its
// secret, and ends at once when it is taken away.
func TestRelayCredentialFromOrderToMail(t *testing.T) {
	cfg := testConfig(t)
	cfg.Listen.Relay = []string{"127.0.0.1:0"}
	n := startNode(t, cfg, testDeps(t, directoryServer(t)))
	admin := adminapi.New(cfg.Admin)
	order := adminapi.RelayOrder{Senders: []string{"scan@" + testDomain}, Rate: 10}
	x, err := admin.AddRelay(t.Context(), "scanner", order)
	if err != nil || len(x.Secret) != 52 {
		t.Fatalf("%+v %v", x, err)
	}
	if _, err := admin.AddRelay(t.Context(), "scanner", order); !rookery.Is(err, rookery.KindExists) {
		t.Errorf("the same name again: %v", err)
	}
	if _, err := admin.AddRelay(t.Context(), "Scanner 2", order); !rookery.Is(err, rookery.KindInvalid) {
		t.Errorf("a bad name: %v", err)
	}
	if _, err := admin.AddRelay(t.Context(), "free", adminapi.RelayOrder{}); !rookery.Is(err, rookery.KindInvalid) {
		t.Errorf("no senders: %v", err)
	}
	all, err := admin.RelayCredentials(t.Context())
	if err != nil || len(all) != 1 || all[0].Name != "scanner" || all[0].Secret != "" || all[0].Rate != 10 {
		t.Errorf("%+v %v", all, err)
	}
	if err := admin.Audit(t.Context(), adminapi.AuditQuery{}, func(c adminapi.AuditedCall) error {
		if strings.Contains(c.Args+c.Outcome, x.Secret) {
			t.Errorf("the audit has the secret: %+v", c)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	raw, err := net.Dial("tcp", n.Addrs()["relay"][0])
	if err != nil {
		t.Fatal(err)
	}
	cl, err := smtp.NewClient(raw, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.Mail("scan@" + testDomain); err == nil {
		t.Error("it relays before it has signed in")
	}
	if err := cl.StartTLS(&tls.Config{InsecureSkipVerify: true}); err != nil {
		t.Fatal(err)
	}
	if err := cl.Auth(smtp.PlainAuth("", "scanner", x.Secret, "localhost")); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"x@elsewhere.example", login(0)} {
		if err = cl.Mail("scan@" + testDomain); err == nil {
			err = cl.Rcpt(to)
		}
		if err != nil {
			t.Fatal(err)
		}
		w, err := cl.Data()
		if err != nil {
			t.Fatal(err)
		}
		w.Write([]byte("From: scan@" + testDomain + "\r\nSubject: scan\r\n\r\nx\r\n"))
		if err := w.Close(); err != nil {
			t.Errorf("to %s: %v", to, err)
		}
	}
	if err := admin.RemoveRelay(t.Context(), "scanner"); err != nil {
		t.Fatal(err)
	}
	if err := admin.RemoveRelay(t.Context(), "scanner"); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	if err := cl.Mail("scan@" + testDomain); err == nil || !strings.Contains(err.Error(), "may not relay") {
		t.Errorf("it relays after it was taken away: %v", err)
	}
}
