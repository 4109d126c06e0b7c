package smtp

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rookery"
	"rookery/protocols/delivery"
	"rookery/storage/account/accounttest"
	"rookery/storage/mailbox"
)

// realRig serves accounts in real storage.
func realRig(t testing.TB, mode Mode) (*rig, *accounttest.Node) {
	n := accounttest.Open(t, accounttest.Options{})
	d := delivery.New(delivery.Options{Accounts: n.Store, Log: n, Machine: n.Machine, ReadBody: n.Bodies.ReadAt,
		Groups: func() []rookery.GroupID { return n.Groups }, Node: "n1", Epoch: 1})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { d.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return newRig(t, mode, func(o *Options) { o.Router.(*delivery.Router).Accounts, o.Deliver = n.Store, d }), n
}

// inbox waits until a person has count messages and gives the last.
func inbox(t testing.TB, n *accounttest.Node, person string, count int) string {
	t.Helper()
	a := n.Account(t, "test/"+person)
	w := a.Watch(0)
	defer w.Close()
	for deadline := time.After(2 * time.Minute); ; {
		v, err := a.View()
		if err != nil {
			t.Fatal(err)
		}
		m, err := v.Mailbox(mailbox.Inbox)
		if err != nil {
			t.Fatal(err)
		}
		if int(m.Messages) >= count {
			defer v.Close()
			var last mailbox.Row
			v.Rows(mailbox.Inbox, 1, math.MaxUint32, func(r mailbox.Row) bool { last = r; return true })
			e, err := v.Email(last.Email)
			if err != nil {
				t.Fatal(err)
			}
			b, err := a.Body(t.Context(), v, e)
			if err != nil {
				t.Fatal(err)
			}
			p := make([]byte, b.Size())
			if _, err := b.ReadAt(t.Context(), p, 0); err != nil && err != io.EOF {
				t.Fatal(err)
			}
			return string(p)
		}
		v.Close()
		select {
		case <-w.C:
		case <-deadline:
			t.Fatalf("%s has %d messages, want %d", person, m.Messages, count)
		}
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip(name, "is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

func TestExternalSubmission(t *testing.T) {
	r, n := realRig(t, Submissions)
	_, port, _ := net.SplitHostPort(r.addr)
	dir := t.TempDir()
	file := filepath.Join(dir, "message")
	os.WriteFile(file, []byte("From: anna@example.com\r\nSubject: from curl\r\n\r\n.dot\r\n"), 0o600)
	sent := 0
	for _, mech := range []string{"PLAIN", "LOGIN"} {
		for _, ir := range []string{"--sasl-ir", "--no-sasl-ir"} {
			t.Run("curl "+mech+ir, func(t *testing.T) {
				run(t, "curl", "-sSk", "--url", "smtps://127.0.0.1:"+port, "--user", "anna:secret", "--login-options", "AUTH="+mech, ir,
					"--mail-from", "anna@example.com", "--mail-rcpt", "bert@example.com", "--upload-file", file)
				sent++
				if m := inbox(t, n, "bert", sent); !strings.HasSuffix(m, "Subject: from curl\r\n\r\n.dot\r\n") || !strings.Contains(m, "ESMTPSA") {
					t.Errorf("%q", m)
				}
			})
		}
	}
	t.Run("swaks", func(t *testing.T) {
		run(t, "swaks", "--server", "127.0.0.1", "--port", port, "--tls-on-connect", "--auth", "LOGIN", "--auth-user", "anna",
			"--auth-password", "secret",
			"--from", "anna@example.com", "--to", "bert@example.com", "--body", "from swaks")
		sent++
		if m := inbox(t, n, "bert", sent); !strings.Contains(m, "from swaks") {
			t.Errorf("%q", m)
		}
	})
	t.Run("smtplib", func(t *testing.T) {
		run(t, "python3", "-c", `
import smtplib, ssl, sys
from email.message import EmailMessage
s = smtplib.SMTP_SSL("127.0.0.1", int(sys.argv[1]), context=ssl._create_unverified_context())
s.login("anna", "secret")
m = EmailMessage(); m["From"] = "anna@example.com"; m["To"] = "bert@example.com"; m["Subject"] = "large"
m.set_content("x"); m.add_attachment(bytes(range(256)) * 4000, maintype="application", subtype="octet-stream", filename="a.bin")
s.send_message(m); s.quit()`, port)
		sent++
		if m := inbox(t, n, "bert", sent); len(m) < 1_300_000 {
			t.Errorf("%d bytes", len(m))
		}
	})
}

func TestExternalMX(t *testing.T) {
	r, n := realRig(t, MX)
	_, port, _ := net.SplitHostPort(r.addr)
	run(t, "swaks", "--server", "127.0.0.1", "--port", port, "--tls", "--from", "x@example.org", "--pipeline",
		"--to", "anna@example.com,bert@example.com,user1@example.com,user2@example.com,user3@example.com", "--body", "to many")
	for _, p := range []string{"anna", "bert", "user1", "user2", "user3"} {
		if m := inbox(t, n, p, 1); !strings.Contains(m, "to many") || strings.Contains(m, "\tfor <") {
			t.Errorf("%s: %q", p, m)
		}
	}
	out, err := exec.Command("swaks", "--server", "127.0.0.1", "--port", port, "--from", "x@example.org", "--to",
		"nobody@example.com").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "550 5.1.1") {
		t.Errorf("%v %s", err, out)
	}
}

// BenchmarkReceive sends messages over a few plain connections.
func BenchmarkReceive(b *testing.B) {
	for _, size := range []int{4 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			r, n := realRig(b, MX)
			n.Account(b, "test/anna")
			message := "Subject: x\r\n\r\n" + strings.Repeat("some words and more words in a line of mail 0123\r\n", size/50) + ".\r\n"
			b.SetBytes(int64(size))
			b.SetParallelism(4)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				c := r.dialFor(b)
				c.SetDeadline(time.Now().Add(time.Minute))
				c.want("220")
				c.do("EHLO x", "250")
				for pb.Next() {
					c.send("MAIL FROM:<x@example.org>\r\nRCPT TO:<anna@example.com>\r\nDATA\r\n")
					c.want("250")
					c.want("250")
					c.want("354")
					c.send(message)
					c.want("250")
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
