package pop3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"rookery"
	"rookery/storage/account"
	"rookery/storage/account/accounttest"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/uidset"
)

// realRig serves an account in real storage.
func realRig(t testing.TB, mode Mode) (*rig, *accounttest.Node, *account.Account) {
	n := accounttest.Open(t, accounttest.Options{})
	r := newRig(t, mode, nil, func(o *Options) { o.Accounts, o.SignIn = n.Store, signIn(&people{}, n.Store) })
	return r, n, n.Account(t, "test/anna")
}

func TestInbox(t *testing.T) {
	r, n, a := realRig(t, TLS)
	large := "Subject: large\r\n\r\n" + strings.Repeat(".0123456789\r\n", 50_000)
	for _, m := range append(letters, large) {
		n.Deliver(t, a, 0, []byte(m))
	}
	flag := func(uid rookery.UID, f command.Flags) {
		if _, _, err := a.StoreFlags(t.Context(), command.StoreFlags{Mailbox: mailbox.Inbox,
			UIDs: uidset.New(uid), Mode: command.StoreAdd, Flags: f}); err != nil {
			t.Fatal(err)
		}
	}
	flag(2, command.FlagDeleted) // hidden
	c := r.signedIn(t)
	c.do("STAT", fmt.Sprintf("+OK 4 %d\r\n", len(letters[0])+len(letters[2])+len(letters[3])+len(large)))
	c.do("RETR 1", "+OK")
	if got := c.rest(); got != "Subject: one\r\n\r\nhello\r\n..hidden\r\n...\r\nlast\r\n" {
		t.Errorf("%q", got)
	}
	c.do("RETR 2", "+OK")
	if got := c.rest(); got != letters[2] {
		t.Errorf("%q", got)
	}
	c.do("TOP 4 2", "+OK")
	if got := c.rest(); got != "Subject: large\r\n\r\n..0123456789\r\n..0123456789\r\n" {
		t.Errorf("%q", got)
	}
	c.do("RETR 4", "+OK")
	if got := c.rest(); strings.ReplaceAll(got, "\r\n..", "\r\n.") != large {
		t.Errorf("%d bytes", len(got))
	}
	c.do("UIDL", "+OK")
	first := c.rest()

	// New mail and a removal by somebody else do not move this session.
	n.Deliver(t, a, 0, []byte(letters[0]))
	if _, _, err := a.Expunge(t.Context(), command.Expunge{Mailbox: mailbox.Inbox, UIDs: uidset.New(3), Force: true}); err != nil {
		t.Fatal(err)
	}
	c.do("STAT", "+OK 4 ")
	c.do("RETR 2", "-ERR No such message")
	c.do("DELE 2", "+OK")
	c.do("DELE 3", "+OK")
	c.do("QUIT", "+OK Bye")

	c = r.signedIn(t)
	c.do("STAT", "+OK 3 ")
	c.do("UIDL", "+OK")
	lines := strings.SplitAfter(first, "\r\n")
	second := strings.SplitAfter(c.rest(), "\r\n")
	id := func(line string) string { _, id, _ := strings.Cut(line, " "); return id }
	if id(second[0]) != id(lines[0]) || id(second[1]) != id(lines[3]) {
		t.Errorf("unique ids moved: %q, then %q", lines, second)
	}
}

func TestExternalClients(t *testing.T) {
	r, n, a := realRig(t, TLS)
	for _, m := range letters {
		n.Deliver(t, a, 0, []byte(m))
	}
	_, port, _ := net.SplitHostPort(r.addr)
	t.Run("curl", func(t *testing.T) {
		out := run(t, "curl", "-sSk", "--user", "anna:two words", "pop3s://127.0.0.1:"+port+"/1")
		if string(out) != letters[0] {
			t.Errorf("%q", out)
		}
		out = run(t, "curl", "-sSk", "--user", "anna:two words", "--login-options", "AUTH=PLAIN", "-X", "UIDL", "pop3s://127.0.0.1:"+port+"/")
		if bytes.Count(out, []byte("\r\n")) != 4 {
			t.Errorf("%q", out)
		}
	})
	t.Run("poplib", func(t *testing.T) {
		out := run(t, "python3", "-c", `
import poplib, ssl, sys
x = ssl._create_unverified_context()
p = poplib.POP3_SSL("127.0.0.1", int(sys.argv[1]), context=x)
print(sorted(p.capa()))
p.user("anna"); p.pass_("two words")
print(p.stat()[0], len(p.uidl()[1]), p.retr(1)[1], p.top(1, 1)[1])
p.dele(4); print(p.quit())`, port)
		if !strings.Contains(string(out), "4 4 [b'Subject: one', b'', b'hello', b'.hidden', b'..', b'last'] [b'Subject: one', b'', b'hello']") ||
			!strings.Contains(string(out), "b'+OK Bye'") {
			t.Errorf("%s", out)
		}
	})
	t.Run("poplib with STLS", func(t *testing.T) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.server.Serve(ctx, ln, STLS) }()
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		out := run(t, "python3", "-c", `
import poplib, ssl, sys
p = poplib.POP3("127.0.0.1", int(sys.argv[1]))
p.stls(ssl._create_unverified_context())
p.user("anna"); p.pass_("two words"); print(p.stat()[0]); p.quit()`, port)
		if strings.TrimSpace(string(out)) != "3" {
			t.Errorf("%s", out)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// run runs a client, or skips where it is not installed.
func run(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip(name, "is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return out
}

// BenchmarkRetrieve fetches pipelined over TLS, as fetchmail and bulk readers do.
func BenchmarkRetrieve(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			r, n, a := realRig(b, TLS)
			const count = 200
			for i := range count {
				n.Deliver(b, a, 0, []byte(fmt.Sprintf("Subject: %d\r\n\r\n",
					i)+strings.Repeat("some words and more words in a line of mail 0123\r\n", size/50)))
			}
			c := r.signedIn(b)
			c.SetDeadline(time.Now().Add(time.Minute))
			var batch strings.Builder
			for i := range count {
				fmt.Fprintf(&batch, "RETR %d\r\n", i+1)
			}
			b.SetBytes(int64(size))
			b.ResetTimer()
			for done := 0; done < b.N; done += count {
				go io.WriteString(c.Conn, batch.String())
				for range count {
					c.want("+OK")
					for {
						line, err := c.r.ReadSlice('\n')
						if err != nil {
							b.Fatal(err)
						}
						if len(line) == 3 && line[0] == '.' {
							break
						}
					}
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
