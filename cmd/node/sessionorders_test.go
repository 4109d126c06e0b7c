package node

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/smtp"
	"strings"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
)

// speak connects to a listener under TLS and has a dialogue: what is sent, and
// how the answer to it begins.
func speak(t *testing.T, n *Node, listener string, dialogue ...string) *bufio.Reader {
	t.Helper()
	c, err := tls.Dial("tcp", n.Addrs()[listener][0], &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	r := bufio.NewReader(c)
	for i := 0; i < len(dialogue); i += 2 {
		if dialogue[i] != "" {
			fmt.Fprintf(c, "%s\r\n", dialogue[i])
		}
		awaitLine(t, r, dialogue[i+1])
	}
	return r
}

func awaitLine(t *testing.T, r *bufio.Reader, prefix string) {
	t.Helper()
	var read []string
	for {
		line, err := r.ReadString('\n')
		read = append(read, line)
		if err != nil {
			t.Fatalf("waiting for %q: %q: %v", prefix, read, err)
		}
		if strings.HasPrefix(line, prefix) {
			return
		}
	}
}

// An operator sees who has signed in, by every protocol, and ends sessions by
// account, protocol and id.
func TestSessionsAreListedAndEnded(t *testing.T) {
	cfg := testConfig(t)
	cfg.Listen.Submission = []string{"127.0.0.1:0"}
	n := startNode(t, cfg, testDeps(t, directoryServer(t)))
	admin := adminapi.New(cfg.Admin)
	id := mustEnsure(t, n, login(0))
	imap := speak(t, n, "imaps", "", "* OK", "a LOGIN "+login(0)+" secret", "a OK", "b IDLE", "+")
	pop := speak(t, n, "pop3s", "", "+OK", "USER "+login(0), "+OK", "PASS secret", "+OK")
	speak(t, n, "imaps", "", "* OK") // has not signed in
	addr := n.Addrs()["submission"][0]
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	sub, err := smtp.NewClient(raw, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if err := sub.StartTLS(&tls.Config{InsecureSkipVerify: true}); err != nil {
		t.Fatal(err)
	}
	if err := sub.Auth(smtp.PlainAuth("", login(0), "secret", "localhost")); err != nil {
		t.Fatal(err)
	}
	l, err := admin.Sessions(t.Context(), adminapi.SessionFilter{})
	if err != nil || len(l.Sessions) != 3 || len(l.Unasked) > 0 || l.More != 0 {
		t.Fatalf("%+v %v", l, err)
	}
	seen := map[string]adminapi.SessionStatus{}
	for _, s := range l.Sessions {
		seen[s.Protocol] = s
		if s.Account != id.String() || s.Login != "user0" || s.Node != cfg.Name || s.Client != "127.0.0.1" || s.ID == "" || s.Since.IsZero() {
			t.Errorf("listed as %+v", s)
		}
	}
	if len(seen) != 3 {
		t.Fatalf("protocols %v", seen)
	}
	end := func(f adminapi.SessionFilter, want int) {
		t.Helper()
		l, err := admin.EndSessions(t.Context(), f)
		if err != nil || l.Ended != want {
			t.Errorf("%+v: %d ended, %v", f, l.Ended, err)
		}
	}
	if _, err := admin.EndSessions(t.Context(), adminapi.SessionFilter{}); !rookery.Is(err, rookery.KindInvalid) {
		t.Errorf("an order to end all: %v", err)
	}
	if _, err := admin.Sessions(t.Context(), adminapi.SessionFilter{Node: "nowhere"}); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("a node that is not: %v", err)
	}
	mustEnsure(t, n, login(1))
	end(adminapi.SessionFilter{Account: login(1)}, 0)
	end(adminapi.SessionFilter{ID: seen["imap"].ID}, 1)
	awaitLine(t, imap, "* BYE The session was ended by an administrator")
	end(adminapi.SessionFilter{Account: login(0), Protocol: "pop3"}, 1)
	awaitLine(t, pop, "-ERR")
	until(t, "one session is left", func() bool { // one that ends is listed until its connection is closed
		l, err := admin.Sessions(t.Context(), adminapi.SessionFilter{Account: login(0)})
		return err == nil && len(l.Sessions) == 1
	})
	end(adminapi.SessionFilter{Account: id.String(), Node: cfg.Name}, 1)
	if _, err := bufio.NewReader(raw).ReadByte(); err != nil { // 421, under TLS
		t.Errorf("the submission is cut without a word: %v", err)
	}
}
